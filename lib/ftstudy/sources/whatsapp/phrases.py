"""What WhatsApp itself writes into an export, in the languages it is known in.

Plain data. Phrases are compared whole, in lower case, without direction marks and
without a final full stop, so they stand here like that. English, German, French, Spanish, Italian,
Portuguese (two), Dutch, Russian, where the phrase is known.
"""

import re

# Direction marks. iPhones put LRM before what nobody typed.
LRM = "\u200e"
MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# Half of the day as it stands beside a time -> hours to add. Dots and spaces inside are left out.
HALF_DAYS = {
    **dict.fromkeys(["am", "vorm", "πμ", "dop", "de", "öö", "오전", "上午", "凌晨", "清晨", "早上", "午前", "ص"], 0),
    **dict.fromkeys(["pm", "nachm", "μμ", "odp", "du", "ös", "오후", "下午", "中午", "晚上", "午後", "م"], 12),
}

# What the name of the file says before the name of the chat.
TITLES = [
    "WhatsApp Chat with ",
    "WhatsApp Chat - ",
    "WhatsApp Chat mit ",
    "WhatsApp-Chat mit ",
    "Discussion WhatsApp avec ",
    "Chat de WhatsApp con ",
    "Chat WhatsApp con ",
    "Conversa do WhatsApp com ",
    "Conversa no WhatsApp com ",
    "WhatsApp-chat met ",
    "Чат WhatsApp с ",
    "Чат WhatsApp с контактом ",
    "WhatsApp-chatt med ",
    "Czat WhatsApp z ",
]

# In the place of a picture that was not exported.
PHOTO_OMITTED = {
    "image omitted",
    "bild weggelassen",
    "image absente",
    "imagen omitida",
    "immagine omessa",
    "imagem ocultada",
    "imagem não revelada",
    "afbeelding weggelaten",
    "изображение отсутствует",
}

# In the place of any other file that was not exported. Android says only "media", in brackets.
FILE_OMITTED = {
    "<media omitted>",
    "<medien ausgeschlossen>",
    "<medien weggelassen>",
    "<médias omis>",
    "<média omis>",
    "<fichier omis>",
    "<multimedia omitido>",
    "<archivo omitido>",
    "<media omessi>",
    "<media omesso>",
    "<mídia oculta>",
    "<mídia omitida>",
    "<arquivo de mídia oculto>",
    "<ficheiro não revelado>",
    "<media weggelaten>",
    "<без медиафайлов>",
    "<файл пропущен>",
    "<video note omitted>",
    "<view once voice message omitted>",
    *(f"{what} omitted" for what in ("video", "audio", "sticker", "gif", "document", "video note")),
    *(f"{what} weggelassen" for what in ("video", "audio", "sticker", "gif", "dokument")),
    *("vidéo absente", "audio omis", "sticker omis", "gif retiré", "document manquant"),
    *(f"{what} omitido" for what in ("video", "audio", "sticker", "gif", "documento")),
    *("video omesso", "audio omesso", "sticker non incluso", "gif esclusa", "documento omesso"),
    *("vídeo omitido", "áudio ocultado", "figurinha omitida"),
    *("vídeo não revelado", "ficheiro de áudio não revelado", "sticker não revelado", "gif não revelada"),
    "documento não revelado",
    *(f"{what} weggelaten" for what in ("video", "audio", "sticker", "gif", "document")),
    *("видео отсутствует", "аудиофайл отсутствует", "стикер не добавлен", "gif отсутствует", "документ отсутствует"),
}

# In the place of somebody's contact card.
CARD_OMITTED = {
    "contact card omitted",
    "kontaktkarte ausgelassen",
    "fiche contact manquante",
    "tarjeta de contacto omitida",
    "scheda contatto omessa",
    "cartão do contato omitido",
    "contacto não revelado",
    "visitekaartje weggelaten",
    "карточка контакта отсутствует",
}

# In brackets after the name of a file that was exported (Android).
ATTACHED = {
    "file attached",
    "datei angehängt",
    "fichier joint",
    "archivo adjunto",
    "archivo adjuntado",
    "file allegato",
    "arquivo anexado",
    "ficheiro anexado",
    "bestand bijgevoegd",
    "файл добавлен",
}

# In angle brackets after a text that was edited.
EDITED = {
    "this message was edited",
    "diese nachricht wurde bearbeitet",
    "ce message a été modifié",
    "se editó este mensaje",
    "questo messaggio è stato modificato",
    "mensagem editada",
    "esta mensagem foi editada",
    "dit bericht is bewerkt",
    "данное сообщение изменено",
    "сообщение изменено",
}

UNSENT_BY_ADMIN = "this message was deleted by admin"  # and the admin's name
UNSENT = {
    "this message was deleted",
    "you deleted this message",
    "diese nachricht wurde gelöscht",
    "du hast diese nachricht gelöscht",
    "ce message a été supprimé",
    "vous avez supprimé ce message",
    "se eliminó este mensaje",
    "este mensaje fue eliminado",
    "eliminaste este mensaje",
    "questo messaggio è stato eliminato",
    "hai eliminato questo messaggio",
    "mensagem apagada",
    "esta mensagem foi apagada",
    "você apagou esta mensagem",
    "apagou esta mensagem",
    "dit bericht is verwijderd",
    "je hebt dit bericht verwijderd",
    "u hebt dit bericht verwijderd",
    "данное сообщение удалено",
    "это сообщение было удалено",
    "вы удалили данное сообщение",
    "вы удалили это сообщение",
}

CALLS = {
    *("missed voice call", "missed video call", "missed group voice call", "missed group video call"),
    *("verpasster sprachanruf", "verpasster videoanruf"),
    *("appel vocal manqué", "appel vidéo manqué"),
    *("llamada perdida", "videollamada perdida"),
    *("chiamata persa", "chiamata vocale persa", "videochiamata persa"),
    *("ligação de voz perdida", "chamada de voz perdida", "chamada de vídeo perdida"),
    *("gemiste spraakoproep", "gemiste oproep", "gemiste video-oproep", "gemist videogesprek"),
    *("пропущенный аудиозвонок", "пропущенный видеозвонок"),
}

# The first line of a poll or an event.
POLLS = {"poll:", "umfrage:", "sondage :", "sondage:", "encuesta:", "sondaggio:", "enquete:", "sondagem:", "peiling:"}
POLLS |= {"опрос:", "event:", "veranstaltung:", "evento:", "événement :", "evenement:"}

# What stands before the address of a map.
PLACES = {"location", "standort", "position", "localisation", "ubicación", "posizione", "localização", "locatie"}
PLACES |= {"местоположение"}
LIVE_PLACES = {
    "live location shared",
    "live-standort wird geteilt",
    "localisation en direct partagée",
    "ubicación en tiempo real compartida",
    "posizione attuale condivisa",
    "localização atual compartilhada",
    "está a partilhar a sua localização",
    "live locatie gedeeld",
    "геоданные отправлены",
}

WAITING = {
    "waiting for this message",
    "waiting for this message. this may take a while",
    "warten auf diese nachricht. dies kann etwas dauern",
}

# Parts of sentences by WhatsApp that no name of a person contains. They tell a sentence with a
# colon in it from a sender and his words.
SYSTEM_PARTS = [
    "end-to-end encrypted",
    "ende-zu-ende-verschlüssel",
    "chiffrés de bout en bout",
    "cifrados de extremo a extremo",
    "crittografati end-to-end",
    "criptografia de ponta a ponta",
    "end-to-end versleuteld",
    "сквозным шифрованием",
    "security code with",
    "created group",
    "created this group",
    "changed the subject",
    "changed the group",
    "changed this group",
    "changed the description",
    "hat den betreff",
    "hat die gruppe",
    "gruppenbeschreibung",
    "a changé le sujet",
    "a changé la description",
    "a modifié la description",
    "a créé le groupe",
    "cambió el asunto",
    "cambió la descripción",
    "cambió el nombre",
    "creó el grupo",
    "ha cambiato l'oggetto",
    "ha cambiato la descrizione",
    "ha creato il gruppo",
    "mudou o nome",
    "mudou a descrição",
    "alterou a descrição",
    "criou o grupo",
    "heeft het onderwerp",
    "heeft de groep",
    "heeft de beschrijving",
    "изменил тему",
    "изменил(а) тему",
    "изменил(а) описание",
    "создал группу",
    "создал(а) группу",
]

# Parts of sentences by WhatsApp that only a group has.
GROUP_PARTS = ["group", "gruppe", "groupe", "grupo", "gruppo", "groep", "групп", " added ", " hinzugefügt", " ajouté "]
GROUP_PARTS += [" añadió ", " agregó ", " aggiunto ", " adicionou ", " toegevoegd", " добавил", "changed the subject"]
