"""What WhatsApp itself writes into an export, in the languages for which it is known.

Phrases are compared as a whole, in lower case, without direction marks and final full stop, and are written like that
here. A line is one language's; `|` separates its phrases. What no table has is found by its repetition (`repeats`).
"""

import re

# Direction marks. iPhones put LRM before everything that nobody typed.
LRM = "\u200e"
MARKS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def _phrases(text: str) -> dict[str, str]:
    """Phrase -> language, or "" if several languages have it."""
    found: dict[str, str] = {}
    for line in text.strip("\n").split("\n"):
        language, phrases = line.split(": ", 1)
        for phrase in phrases.split("|"):
            phrase = phrase.strip(" ")
            found[phrase] = language if found.get(phrase, language) == language else ""
    return found


# How the name of the file begins, before the name of the chat.
TITLES = _phrases("""
en: WhatsApp Chat with | WhatsApp Chat -
de: WhatsApp Chat mit | WhatsApp-Chat mit
fr: Discussion WhatsApp avec
es: Chat de WhatsApp con
it: Chat WhatsApp con
pt: Conversa do WhatsApp com | Conversa no WhatsApp com
nl: WhatsApp-chat met
ru: Чат WhatsApp с | Чат WhatsApp с контактом
sv: WhatsApp-chatt med
pl: Czat WhatsApp z | Czat na WhatsAppie z
id: Chat WhatsApp dengan
da: WhatsApp-chat med
nb: WhatsApp-chat med
""")

# In place of a photo that was not exported.
PHOTO_OMITTED = _phrases("""
en: image omitted
de: bild weggelassen
fr: image absente
es: imagen omitida
it: immagine omessa
pt: imagem ocultada | imagem não revelada
nl: afbeelding weggelaten
ru: изображение отсутствует
tr: görüntü dahil edilmedi
zh: 图像已省略 | 图片已省略 | 圖片已省略 | 影像已省略 | 已忽略圖片
ja: 画像は含まれていません | 画像なし
ko: 이미지 생략됨 | 이미지가 생략됨
id: gambar tidak disertakan
pl: pominięto obraz | obraz pominięty
sv: bild utelämnad
da: billede udeladt
nb: bilde utelatt
fi: kuva jätetty pois
cs: obrázek vynechán
hu: kép kihagyva
ro: imagine omisă
uk: зображення пропущено
he: התמונה הושמטה
ar: تم استبعاد الصورة
""")

# In place of any other file that was not exported. Android writes only "media", in brackets.
FILE_OMITTED = _phrases("""
en: <media omitted> | <video note omitted> | <view once voice message omitted> | video omitted | audio omitted
en: sticker omitted | gif omitted | document omitted | video note omitted
en: <media not included> | <voice message omitted> | <view once message omitted>
de: <medien ausgeschlossen> | <medien weggelassen> | video weggelassen | audio weggelassen | sticker weggelassen
de: gif weggelassen | dokument weggelassen
fr: <médias omis> | <média omis> | <fichier omis> | vidéo absente | audio omis | sticker omis | gif retiré
fr: document manquant
fr: <fichier média omis> | <médias exclus> | fichier omis
es: <multimedia omitido> | <archivo omitido> | video omitido | audio omitido | sticker omitido | gif omitido
es: documento omitido
es: <medios omitidos> | <se omitió multimedia> | <archivos omitidos>
it: <media omessi> | <media omesso> | video omesso | audio omesso | sticker non incluso | gif esclusa | documento omesso
it: <media esclusi> | <file multimediale omesso> | <file omesso>
pt: <mídia oculta> | <mídia omitida> | <arquivo de mídia oculto> | <ficheiro não revelado> | vídeo omitido
pt: áudio ocultado | figurinha omitida | vídeo não revelado | ficheiro de áudio não revelado | sticker não revelado
pt: gif não revelada | documento não revelado
pt: <ficheiro multimédia omisso> | <multimédia omissa>
nl: <media weggelaten> | video weggelaten | audio weggelaten | sticker weggelaten | gif weggelaten
nl: document weggelaten
nl: <media uitgesloten> | <media niet bijgevoegd>
ru: <без медиафайлов> | <файл пропущен> | видео отсутствует | аудиофайл отсутствует | стикер не добавлен
ru: gif отсутствует | документ отсутствует
ru: <медиафайл пропущен> | <медиа пропущены> | <вложение пропущено>
tr: <medya dahil edilmedi> | <medya atlandı> | video dahil edilmedi | ses dahil edilmedi | çıkartma dahil edilmedi
tr: gif dahil edilmedi | belge dahil edilmedi
zh: <省略多媒体文件> | <媒体文件已省略> | <忽略多媒體檔> | <已省略多媒體檔案> | <多媒體檔案已略去> | 视频已省略 | 影片已省略
zh: 音频已省略 | 語音已省略 | 表情贴图已省略 | 貼圖已省略 | gif已省略 | 文档已省略 | 文件已省略
ja: <メディアなし> | <メディアは含まれていません> | ビデオは含まれていません | 音声は含まれていません
ja: スタンプは含まれていません | 文書は含まれていません
ko: <미디어 파일을 생략한 대화내용> | <미디어 생략됨> | 동영상 생략됨 | 오디오 생략됨 | 스티커 생략됨 | 문서 생략됨
id: <media tidak disertakan> | video tidak disertakan | audio tidak disertakan | stiker tidak disertakan
id: dokumen tidak disertakan
pl: <pominięto multimedia> | <multimedia pominięte> | pominięto film | pominięto dźwięk | pominięto naklejkę
pl: pominięto dokument
sv: <media har utelämnats> | <media utelämnat> | video utelämnad | ljud utelämnat | klistermärke utelämnat
da: <mediefil udeladt> | <medier udeladt> | video udeladt | lyd udeladt | sticker udeladt
nb: <media utelatt> | <medier utelatt> | video utelatt | lyd utelatt | klistremerke utelatt
fi: <media jätetty pois> | video jätetty pois | ääni jätetty pois | tarra jätetty pois
cs: <média vynechána> | <média byla vynechána> | video vynecháno | zvuk vynechán | nálepka vynechána
hu: <hiányzó médiafájl> | <média kihagyva> | videó kihagyva | hanganyag kihagyva | matrica kihagyva
ro: <conținut media omis> | <fișier media omis> | videoclip omis | fișier audio omis
uk: <медіа пропущено> | <без медіафайлів> | відео пропущено | аудіо пропущено | стікер пропущено
el: <εξαίρεση πολυμέσων> | <παράλειψη πολυμέσων>
he: <המדיה לא נכללה> | <מדיה הושמטה> | הסרטון הושמט | השמע הושמט
ar: <تم استبعاد الوسائط> | <الوسائط غير مدرجة> | تم استبعاد الفيديو | تم استبعاد الصوت
fa: <رسانه حذف شد> | <رسانه ارسال نشد>
hi: <मीडिया के बिना> | <मीडिया शामिल नहीं है> | <मीडिया हटाया गया>
vi: <bỏ qua media> | <tệp media bị bỏ qua>
th: <สื่อถูกลบ> | <ไม่รวมสื่อ>
ms: <media diabaikan> | <media ditinggalkan>
hr: <multimedija izostavljena> | <medijski sadržaj izostavljen>
sk: <médiá vynechané> | <médiá boli vynechané>
bg: <файловете са пропуснати> | <мултимедията е пропусната>
ca: <fitxers omesos> | <mitjans omesos>
""")

# In place of a contact card.
CARD_OMITTED = _phrases("""
en: contact card omitted
de: kontaktkarte ausgelassen
fr: fiche contact manquante
es: tarjeta de contacto omitida
it: scheda contatto omessa
pt: cartão do contato omitido | contacto não revelado
nl: visitekaartje weggelaten
ru: карточка контакта отсутствует
tr: kişi kartı dahil edilmedi
zh: 联系人名片已省略 | 聯絡人卡片已省略
""")

# In brackets after the name of an exported file (Android).
ATTACHED = _phrases("""
en: file attached
de: datei angehängt
fr: fichier joint
es: archivo adjunto | archivo adjuntado
it: file allegato
pt: arquivo anexado | ficheiro anexado
nl: bestand bijgevoegd
ru: файл добавлен
tr: dosya ekli
zh: 附件檔案 | 檔案已附上 | 文件附件 | 附件文件
ja: 添付ファイル有り | ファイル添付
ko: 파일 첨부됨 | 첨부 파일 | 첨부파일
id: file terlampir | berkas terlampir
pl: załączony plik | plik załączony
sv: bifogad fil | filen bifogad
da: fil vedhæftet | vedhæftet fil
nb: fil vedlagt | vedlagt fil
fi: tiedosto liitetty | liitetty tiedosto
cs: přiložený soubor | soubor byl přiložen
hu: fájl csatolva | csatolt fájl
ro: fișier atașat
uk: файл додано | додано файл | долучено файл
el: επισυναπτόμενο αρχείο | συνημμένο αρχείο
he: הקובץ מצורף | קובץ מצורף
ar: الملف مرفق | ملف مرفق
fa: فایل پیوست شد | پرونده پیوست شده
hi: फ़ाइल संलग्न है | फ़ाइल अटैच की गई
vi: tệp đính kèm | đã đính kèm tệp
th: ไฟล์ที่แนบ | แนบไฟล์แล้ว
""")

# In angle brackets after an edited text.
EDITED = _phrases("""
en: this message was edited
de: diese nachricht wurde bearbeitet
fr: ce message a été modifié
es: se editó este mensaje
es: este mensaje fue editado
it: questo messaggio è stato modificato
pt: mensagem editada | esta mensagem foi editada
pt: essa mensagem foi editada
nl: dit bericht is bewerkt
ru: данное сообщение изменено | сообщение изменено
ru: это сообщение изменено | это сообщение было изменено
tr: bu mesaj düzenlendi
zh: 此消息已编辑 | 这条消息已编辑 | 此訊息已編輯 | 這則訊息已編輯
ja: このメッセージは編集されました | このメッセージは編集済みです
ko: 이 메시지는 수정되었습니다 | 이 메시지가 수정되었습니다
id: pesan ini diedit | pesan ini telah diedit
pl: ta wiadomość została zmieniona | ta wiadomość została edytowana | wiadomość edytowana
sv: det här meddelandet redigerades | det här meddelandet har redigerats
da: denne besked blev redigeret | denne besked er redigeret
nb: denne meldingen ble redigert | denne meldingen er redigert
fi: tätä viestiä muokattiin | tätä viestiä on muokattu
cs: tato zpráva byla upravena
hu: ezt az üzenetet szerkesztették
ro: acest mesaj a fost editat
uk: це повідомлення було змінено | це повідомлення змінено | повідомлення відредаговано
el: το μήνυμα υποβλήθηκε σε επεξεργασία
he: הודעה זו נערכה | ההודעה נערכה
ar: تم تعديل هذه الرسالة
fa: این پیام ویرایش شد
hi: इस मैसेज को एडिट किया गया था | यह मैसेज एडिट किया गया
vi: tin nhắn này đã được chỉnh sửa
th: ข้อความนี้ถูกแก้ไขแล้ว | แก้ไขข้อความนี้แล้ว
""")

# Followed by the admin's name.
UNSENT_BY_ADMIN = _phrases("""
en: this message was deleted by admin
de: diese nachricht wurde von admin | diese nachricht wurde vom admin
fr: ce message a été supprimé par l'admin
es: este mensaje fue eliminado por el admin
it: questo messaggio è stato eliminato dall'amministratore
pt: esta mensagem foi apagada pelo admin | essa mensagem foi apagada pelo admin
nl: dit bericht is verwijderd door beheerder
ru: это сообщение удалено админом | данное сообщение удалено админом
""")
UNSENT = _phrases("""
en: this message was deleted | you deleted this message
en: you deleted this message as admin
de: diese nachricht wurde gelöscht | du hast diese nachricht gelöscht
de: du hast diese nachricht als admin gelöscht
fr: ce message a été supprimé | vous avez supprimé ce message
fr: tu as supprimé ce message | ce message a été effacé
es: se eliminó este mensaje | este mensaje fue eliminado | eliminaste este mensaje
es: has eliminado este mensaje | este mensaje se eliminó
it: questo messaggio è stato eliminato | hai eliminato questo messaggio
pt: mensagem apagada | esta mensagem foi apagada | você apagou esta mensagem | apagou esta mensagem
pt: essa mensagem foi apagada | você apagou essa mensagem | eliminou esta mensagem | esta mensagem foi eliminada
nl: dit bericht is verwijderd | je hebt dit bericht verwijderd | u hebt dit bericht verwijderd
ru: данное сообщение удалено | это сообщение было удалено | вы удалили данное сообщение | вы удалили это сообщение
ru: это сообщение удалено | вы удалили сообщение
tr: bu mesaj silindi | bu mesajı sildiniz
zh: 此消息已删除 | 此消息已被删除 | 这条消息已删除 | 这条消息已被删除 | 您已删除此消息 | 您已删除这条消息 | 你已删除此消息
zh: 此訊息已刪除 | 此訊息已被刪除 | 這則訊息已刪除 | 您已刪除此訊息 | 你已刪除此訊息 | 您已收回此訊息 | 此訊息已收回
ja: このメッセージは削除されました | このメッセージを削除しました | あなたはこのメッセージを削除しました
ko: 이 메시지는 삭제되었습니다 | 삭제된 메시지입니다 | 이 메시지를 삭제했습니다 | 회원님이 이 메시지를 삭제했습니다
id: pesan ini dihapus | pesan ini telah dihapus | anda menghapus pesan ini | anda telah menghapus pesan ini
pl: ta wiadomość została usunięta | usunięto tę wiadomość | usunąłeś tę wiadomość | usunęłaś tę wiadomość
sv: det här meddelandet raderades | du raderade det här meddelandet | det här meddelandet har raderats
da: denne besked blev slettet | du slettede denne besked | denne besked er blevet slettet
nb: denne meldingen ble slettet | du slettet denne meldingen | denne meldingen er slettet
fi: tämä viesti poistettiin | poistit tämän viestin | tämä viesti on poistettu
cs: tato zpráva byla odstraněna | tato zpráva byla smazána | odstranili jste tuto zprávu | smazali jste tuto zprávu
hu: ezt az üzenetet törölték | törölted ezt az üzenetet | ez az üzenet törölve lett
ro: acest mesaj a fost șters | ați șters acest mesaj | ai șters acest mesaj
uk: це повідомлення було видалено | це повідомлення видалено | ви видалили це повідомлення
el: αυτό το μήνυμα διαγράφηκε | διαγράψατε αυτό το μήνυμα
he: הודעה זו נמחקה | מחקת את ההודעה הזו | מחקת הודעה זו
ar: تم حذف هذه الرسالة | لقد حذفت هذه الرسالة | حذفت هذه الرسالة | لقد قمت بحذف هذه الرسالة
fa: این پیام حذف شد | این پیام حذف شده است | شما این پیام را حذف کردید
hi: यह मैसेज डिलीट किया गया है | यह मैसेज डिलीट कर दिया गया | यह संदेश मिटा दिया गया | आपने यह मैसेज डिलीट किया है
hi: आपने यह मैसेज डिलीट किया
vi: tin nhắn này đã bị xóa | tin nhắn này đã bị xoá | bạn đã xóa tin nhắn này | bạn đã xoá tin nhắn này
th: ข้อความนี้ถูกลบ | ข้อความนี้ถูกลบแล้ว | คุณลบข้อความนี้ | คุณลบข้อความนี้แล้ว | คุณได้ลบข้อความนี้
""")

CALLS = _phrases("""
en: missed voice call | missed video call | missed group voice call | missed group video call
en: missed group call | missed voice call. tap to call back | missed video call. tap to call back
en: silenced voice call | silenced video call | missed group voice call. tap to call back
de: verpasster sprachanruf | verpasster videoanruf
de: verpasster gruppensprachanruf | verpasster gruppenvideoanruf | verpasster gruppenanruf
fr: appel vocal manqué | appel vidéo manqué
fr: appel vocal de groupe manqué | appel vidéo de groupe manqué | appel de groupe manqué
es: llamada perdida | videollamada perdida | llamada de voz perdida | llamada de video perdida
es: videollamada grupal perdida | llamada grupal perdida | llamada de voz grupal perdida
it: chiamata persa | chiamata vocale persa | videochiamata persa
it: chiamata vocale di gruppo persa | videochiamata di gruppo persa
pt: ligação de voz perdida | chamada de voz perdida | chamada de vídeo perdida | ligação de vídeo perdida
pt: chamada de voz em grupo perdida | chamada de vídeo em grupo perdida | chamada perdida
nl: gemiste spraakoproep | gemiste oproep | gemiste video-oproep | gemist videogesprek
ru: пропущенный аудиозвонок | пропущенный видеозвонок
ru: пропущенный групповой аудиозвонок | пропущенный групповой видеозвонок | пропущенный вызов
tr: cevapsız sesli arama | cevapsız görüntülü arama | cevapsız sesli grup araması | cevapsız görüntülü grup araması
zh: 未接语音通话 | 未接视频通话 | 未接語音通話 | 未接視訊通話 | 未接來電 | 未接听语音通话
ja: 不在着信（音声通話） | 不在着信（ビデオ通話） | 音声通話の不在着信 | ビデオ通話の不在着信
ko: 부재중 음성통화 | 부재중 영상통화 | 음성통화 부재중
id: panggilan suara tak terjawab | panggilan video tak terjawab
pl: nieodebrane połączenie głosowe | nieodebrane połączenie wideo
sv: missat röstsamtal | missat videosamtal
da: mistet taleopkald | mistet videoopkald | ubesvaret taleopkald | ubesvaret videoopkald
nb: tapt taleanrop | tapt videoanrop | ubesvart taleanrop | ubesvart videoanrop
fi: vastaamaton äänipuhelu | vastaamaton videopuhelu
cs: zmeškaný hlasový hovor | zmeškaný videohovor
hu: nem fogadott hanghívás | nem fogadott videóhívás
ro: apel vocal nepreluat | apel video nepreluat | apel vocal pierdut | apel video pierdut
uk: пропущений аудіодзвінок | пропущений відеодзвінок | пропущений голосовий виклик
el: αναπάντητη φωνητική κλήση | αναπάντητη βιντεοκλήση | αναπάντητη κλήση
he: שיחה קולית שלא נענתה | שיחת וידאו שלא נענתה
ar: مكالمة صوتية فائتة | مكالمة فيديو فائتة | مكالمة مرئية فائتة
fa: تماس صوتی از دست رفته | تماس تصویری از دست رفته
hi: मिस्ड वॉइस कॉल | मिस्ड वीडियो कॉल | छूटी हुई वॉइस कॉल
vi: cuộc gọi thoại nhỡ | cuộc gọi video nhỡ
th: สายโทรด้วยเสียงที่ไม่ได้รับ | สายวิดีโอคอลที่ไม่ได้รับ
""")

# The first line of a poll or an event. A poll is recognized by its form too, in any language.
POLLS = _phrases("""
en: poll: | event:
de: umfrage: | veranstaltung:
fr: sondage : | sondage: | événement : | evenement:
es: encuesta: | evento:
it: sondaggio: | evento:
pt: enquete: | sondagem: | evento:
nl: peiling: | evenement:
ru: опрос: | мероприятие:
tr: anket: | etkinlik:
""")

# Before a link to a map.
PLACES = _phrases("""
en: location
de: standort
fr: position | localisation
es: ubicación
it: posizione
pt: localização
nl: locatie
ru: местоположение
tr: konum
zh: 位置
ja: 位置情報
ko: 위치
id: lokasi
pl: lokalizacja
sv: plats
da: placering | lokation
nb: posisjon
fi: sijainti
cs: poloha
hu: hely | helyzet
ro: locație | locația
uk: місцезнаходження | місце розташування
el: τοποθεσία
he: מיקום
ar: الموقع | موقع
fa: موقعیت | مکان
hi: लोकेशन | स्थान
vi: vị trí
th: ตำแหน่งที่ตั้ง | ตำแหน่ง
""")
LIVE_PLACES = _phrases("""
en: live location shared
de: live-standort wird geteilt
fr: localisation en direct partagée
es: ubicación en tiempo real compartida
it: posizione attuale condivisa
pt: localização atual compartilhada | está a partilhar a sua localização
nl: live locatie gedeeld
ru: геоданные отправлены
tr: canlı konum paylaşıldı
id: lokasi terkini dibagikan
""")

WAITING = _phrases("""
en: waiting for this message | waiting for this message. this may take a while
de: warten auf diese nachricht. dies kann etwas dauern
de: auf diese nachricht wird gewartet. dies kann einen moment dauern
tr: bu mesaj bekleniyor. bu biraz zaman alabilir
es: esperando el mensaje. esto puede tomar tiempo
""")

# How the first line of a chat begins: that it is encrypted.
ENCRYPTED = _phrases("""
en: messages and calls are end-to-end encrypted | messages to this chat and calls are now secured with end-to-end
en: messages to this group are now secured with end-to-end
de: nachrichten und anrufe sind ende-zu-ende-verschlüsselt | nachrichten in diesem chat sowie anrufe sind jetzt mit
de: nachrichten in dieser gruppe sind jetzt mit
fr: les messages et les appels sont chiffrés de bout en bout | les messages et appels sont chiffrés de bout en bout
es: los mensajes y las llamadas están cifrados de extremo a extremo | los mensajes y llamadas están cifrados
it: i messaggi e le chiamate sono crittografati end-to-end | i messaggi e le chiamate sono protetti con
pt: as mensagens e as ligações são protegidas com | as mensagens e as chamadas são protegidas com
pt: as mensagens e as chamadas são encriptadas ponto a ponto | as mensagens e ligações são protegidas com
nl: berichten en oproepen zijn end-to-end versleuteld | berichten en gesprekken zijn end-to-end versleuteld
ru: сообщения и звонки защищены сквозным шифрованием
tr: mesajlar ve aramalar uçtan uca şifrelidir
zh: 消息和通话都进行端到端加密 | 訊息和通話經端對端加密 | 訊息和通話受端對端加密保護
ja: メッセージと通話はエンドツーエンドで暗号化されています
ko: 메시지와 통화는 종단간 암호화됩니다 | 메시지와 통화는 종단 간 암호화되어 있습니다
id: pesan dan panggilan terenkripsi secara end-to-end
pl: wiadomości i połączenia są w pełni szyfrowane | wiadomości i połączenia są szyfrowane
sv: meddelanden och samtal är totalsträckskrypterade
da: beskeder og opkald er end-to-end-krypteret
nb: meldinger og anrop er ende-til-ende-kryptert
fi: viestit ja puhelut ovat päästä päähän -salattuja | viestit ja puhelut salataan täysin
cs: zprávy a hovory jsou koncově šifrované
hu: az üzenetek és a hívások végpontok közti titkosítással védettek
ro: mesajele și apelurile sunt criptate integral
uk: повідомлення та дзвінки захищено наскрізним шифруванням
he: ההודעות והשיחות מוצפנות מקצה לקצה
ar: الرسائل والمكالمات مشفرة تمامًا بين الطرفين | الرسائل والمكالمات مشفّرة تمامًا بين الطرفين
hi: मैसेज और कॉल, एंड-टू-एंड एन्क्रिप्टेड हैं
vi: tin nhắn và cuộc gọi được mã hóa đầu cuối
th: ข้อความและการโทรได้รับการเข้ารหัสจากต้นทางถึงปลายทาง
""")

# What follows a person's name in WhatsApp's sentences, where copies lost the marks; … is anything.
NOTICES = _phrases("""
en: changed this group's icon | deleted this group's icon | changed the group description | created this group
en: created group “…” | changed the subject to “…” | changed the subject from “…” | changed the group name to “…”
en: changed their phone number to a new number. … | joined using this group's invite link | changed this group's settings …
en: pinned a message | turned on disappearing messages. … | turned off disappearing messages. …
de: hat das gruppenbild geändert | hat die gruppenbeschreibung geändert | hat die gruppe „…“ erstellt
de: hat den betreff zu „…“ geändert | hat den betreff von „…“ zu „…“ geändert | hat die gruppe erstellt
fr: a changé l'icône du groupe | a changé l'icône de ce groupe | a changé la description du groupe | a créé le groupe « … »
es: cambió el ícono del grupo | cambió el icono de este grupo | cambió la descripción del grupo | creó el grupo “…”
it: ha cambiato l'immagine del gruppo | ha cambiato la descrizione del gruppo | ha creato il gruppo “…”
pt: mudou a imagem do grupo | mudou a imagem deste grupo | mudou a descrição do grupo | criou o grupo “…”
nl: heeft de groepsafbeelding gewijzigd | heeft de groepsomschrijving gewijzigd | heeft de groep “…” gemaakt
ru: изменил(а) иконку группы | изменил(а) изображение группы | изменил(а) описание группы | создал(а) группу “…”
tr: bu grubun simgesini değiştirdi | grup açıklamasını değiştirdi | “…” grubunu oluşturdu
""")

# Parts of WhatsApp's own sentences that no name contains: they tell such a sentence with a colon from
# a sender and a text.
SYSTEM_PARTS = _phrases("""
en: end-to-end encrypted | security code with | created group | created this group | changed the subject
en: changed the group | changed this group | changed the description
de: ende-zu-ende-verschlüssel | hat den betreff | hat die gruppe | gruppenbeschreibung
fr: chiffrés de bout en bout | a changé le sujet | a changé la description | a modifié la description | a créé le groupe
es: cifrados de extremo a extremo | cambió el asunto | cambió la descripción | cambió el nombre | creó el grupo
it: crittografati end-to-end | ha cambiato l'oggetto | ha cambiato la descrizione | ha creato il gruppo
pt: criptografia de ponta a ponta | mudou o nome | mudou a descrição | alterou a descrição | criou o grupo
nl: end-to-end versleuteld | heeft het onderwerp | heeft de groep | heeft de beschrijving
ru: сквозным шифрованием | изменил тему | изменил(а) тему | изменил(а) описание | создал группу | создал(а) группу
tr: uçtan uca şifreli | grubunu oluşturdu | grubunun konusunu | grup açıklamasını
""")

# Parts of WhatsApp's own sentences that occur only in groups.
GROUP_PARTS = ["group", "gruppe", "groupe", "grupo", "gruppo", "groep", "групп", "grub", "grup ", "changed the subject"]
GROUP_PARTS += [" added ", " hinzugefügt", " ajouté ", " añadió ", " agregó ", " aggiunto ", " adicionou "]
GROUP_PARTS += [" toegevoegd", " добавил", " ekledi"]

# Phrase -> language; one of several languages says nothing.
_TABLES = (PHOTO_OMITTED, FILE_OMITTED, CARD_OMITTED, UNSENT, CALLS, EDITED)
LANGUAGE_OF = {phrase: language for table in _TABLES for phrase, language in table.items()}
