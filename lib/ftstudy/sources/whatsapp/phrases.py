"""What WhatsApp itself writes into an export, in the languages for which it is known: English, German,
French, Spanish, Italian, Portuguese (two kinds), Dutch and Russian.

Phrases are compared as a whole, in lower case, without direction marks and final full stop, and are
written like that here. Each table is one text; `|` and line ends separate its phrases.
"""

import re

# Direction marks. iPhones put LRM before everything that nobody typed.
LRM = "\u200e"
MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _phrases(text: str) -> list[str]:
    return [phrase.strip(" ") for line in text.strip().split("\n") for phrase in line.split("|")]


# The half of the day next to a time -> hours to add; dots and spaces inside are left out.
HALF_DAYS = {
    **dict.fromkeys(_phrases("am|vorm|πμ|dop|de|öö|오전|上午|凌晨|清晨|早上|午前|ص"), 0),
    **dict.fromkeys(_phrases("pm|nachm|μμ|odp|du|ös|오후|下午|中午|晚上|午後|م"), 12),
}

# How the name of the file begins, before the name of the chat.
TITLES = [
    f"{title} "
    for title in _phrases("""
WhatsApp Chat with | WhatsApp Chat - | WhatsApp Chat mit | WhatsApp-Chat mit | Discussion WhatsApp avec
Chat de WhatsApp con | Chat WhatsApp con | Conversa do WhatsApp com | Conversa no WhatsApp com
WhatsApp-chat met | Чат WhatsApp с | Чат WhatsApp с контактом | WhatsApp-chatt med | Czat WhatsApp z
""")
]

# In place of a photo that was not exported.
PHOTO_OMITTED = _phrases("""
image omitted | bild weggelassen | image absente | imagen omitida | immagine omessa | imagem ocultada
imagem não revelada | afbeelding weggelaten | изображение отсутствует
""")

# In place of any other file that was not exported. Android writes only "media", in brackets.
FILE_OMITTED = _phrases("""
<media omitted> | <medien ausgeschlossen> | <medien weggelassen> | <médias omis> | <média omis> | <fichier omis>
<multimedia omitido> | <archivo omitido> | <media omessi> | <media omesso> | <mídia oculta> | <mídia omitida>
<arquivo de mídia oculto> | <ficheiro não revelado> | <media weggelaten> | <без медиафайлов> | <файл пропущен>
<video note omitted> | <view once voice message omitted>
video omitted | audio omitted | sticker omitted | gif omitted | document omitted | video note omitted
video weggelassen | audio weggelassen | sticker weggelassen | gif weggelassen | dokument weggelassen
vidéo absente | audio omis | sticker omis | gif retiré | document manquant
video omitido | audio omitido | sticker omitido | gif omitido | documento omitido
video omesso | audio omesso | sticker non incluso | gif esclusa | documento omesso
vídeo omitido | áudio ocultado | figurinha omitida
vídeo não revelado | ficheiro de áudio não revelado | sticker não revelado | gif não revelada | documento não revelado
video weggelaten | audio weggelaten | sticker weggelaten | gif weggelaten | document weggelaten
видео отсутствует | аудиофайл отсутствует | стикер не добавлен | gif отсутствует | документ отсутствует
""")

# In place of a contact card.
CARD_OMITTED = _phrases("""
contact card omitted | kontaktkarte ausgelassen | fiche contact manquante | tarjeta de contacto omitida
scheda contatto omessa | cartão do contato omitido | contacto não revelado | visitekaartje weggelaten
карточка контакта отсутствует
""")

# In brackets after the name of an exported file (Android).
ATTACHED = _phrases("""
file attached | datei angehängt | fichier joint | archivo adjunto | archivo adjuntado | file allegato
arquivo anexado | ficheiro anexado | bestand bijgevoegd | файл добавлен
""")

# In angle brackets after an edited text.
EDITED = _phrases("""
this message was edited | diese nachricht wurde bearbeitet | ce message a été modifié | se editó este mensaje
questo messaggio è stato modificato | mensagem editada | esta mensagem foi editada | dit bericht is bewerkt
данное сообщение изменено | сообщение изменено
""")

UNSENT_BY_ADMIN = "this message was deleted by admin"  # followed by the admin's name
UNSENT = _phrases("""
this message was deleted | you deleted this message
diese nachricht wurde gelöscht | du hast diese nachricht gelöscht
ce message a été supprimé | vous avez supprimé ce message
se eliminó este mensaje | este mensaje fue eliminado | eliminaste este mensaje
questo messaggio è stato eliminato | hai eliminato questo messaggio
mensagem apagada | esta mensagem foi apagada | você apagou esta mensagem | apagou esta mensagem
dit bericht is verwijderd | je hebt dit bericht verwijderd | u hebt dit bericht verwijderd
данное сообщение удалено | это сообщение было удалено | вы удалили данное сообщение | вы удалили это сообщение
""")

CALLS = _phrases("""
missed voice call | missed video call | missed group voice call | missed group video call
verpasster sprachanruf | verpasster videoanruf | appel vocal manqué | appel vidéo manqué
llamada perdida | videollamada perdida | chiamata persa | chiamata vocale persa | videochiamata persa
ligação de voz perdida | chamada de voz perdida | chamada de vídeo perdida
gemiste spraakoproep | gemiste oproep | gemiste video-oproep | gemist videogesprek
пропущенный аудиозвонок | пропущенный видеозвонок
""")

# The first line of a poll or an event.
POLLS = _phrases("""
poll: | umfrage: | sondage : | sondage: | encuesta: | sondaggio: | enquete: | sondagem: | peiling: | опрос:
event: | veranstaltung: | evento: | événement : | evenement:
""")

# Before a link to a map.
PLACES = _phrases("""
location | standort | position | localisation | ubicación | posizione | localização | locatie | местоположение
""")
LIVE_PLACES = _phrases("""
live location shared | live-standort wird geteilt | localisation en direct partagée
ubicación en tiempo real compartida | posizione attuale condivisa | localização atual compartilhada
está a partilhar a sua localização | live locatie gedeeld | геоданные отправлены
""")

WAITING = _phrases("""
waiting for this message | waiting for this message. this may take a while
warten auf diese nachricht. dies kann etwas dauern
""")

# Parts of WhatsApp's own sentences that no name contains: they tell such a sentence with a colon from
# a sender and a text.
SYSTEM_PARTS = _phrases("""
end-to-end encrypted | ende-zu-ende-verschlüssel | chiffrés de bout en bout | cifrados de extremo a extremo
crittografati end-to-end | criptografia de ponta a ponta | end-to-end versleuteld | сквозным шифрованием
security code with | created group | created this group | changed the subject | changed the group
changed this group | changed the description
hat den betreff | hat die gruppe | gruppenbeschreibung
a changé le sujet | a changé la description | a modifié la description | a créé le groupe
cambió el asunto | cambió la descripción | cambió el nombre | creó el grupo
ha cambiato l'oggetto | ha cambiato la descrizione | ha creato il gruppo
mudou o nome | mudou a descrição | alterou a descrição | criou o grupo
heeft het onderwerp | heeft de groep | heeft de beschrijving
изменил тему | изменил(а) тему | изменил(а) описание | создал группу | создал(а) группу
""")

# Parts of WhatsApp's own sentences that occur only in groups.
GROUP_PARTS = _phrases("group|gruppe|groupe|grupo|gruppo|groep|групп|changed the subject")
GROUP_PARTS += [" added ", " hinzugefügt", " ajouté ", " añadió ", " agregó ", " aggiunto ", " adicionou "]
GROUP_PARTS += [" toegevoegd", " добавил"]
