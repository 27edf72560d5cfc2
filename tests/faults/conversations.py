"""Invented conversations of several people, the same every time: sessions, and training rows made of them.

A persona has clauses with <slots>, words that fill them, and a way to write messages and replies.
Rows are made as real extractions make them: every reply of a session is one, with the messages
before it as its context, so rows of one session share messages and rows of two do not.
"""

import random
import re

SYSTEM = "You are {owner}. Reply to text messages the way {owner} texts."
CONTEXT = {"persian": 4, "hindi": 3}  # messages before a reply, at most, where other than …
MESSAGES = 6  # … since the tests' tokenizers need a token for nearly each byte

ENGLISH = {
    "place": "the harbour|that ramen place|your office|the climbing gym|Dora's flat|the lake|platform nine|the old cinema"
    "|the garden centre|our usual bench|the library|the car park|the bakery on Mill Road|the train station|the pool|the vet",
    "thing": "the blue folder|my charger|a birthday cake|the spare keys|two tickets|the tent|her camera|the invoice"
    "|some oat milk|the ladder|a lasagne|the board games|his passport|the rental car|a bunch of tulips|the projector",
    "when": "tomorrow|after lunch|on Sunday|at half six|before the match|next week|tonight|around noon|on the 14th"
    "|straight after work|when it stops raining|in ten minutes|on Friday morning|once the kids sleep|by Tuesday",
    "who": "Priya|my brother|the landlord|Tomek|grandma|your boss|the neighbours|Ines|the plumber|Jonas|our coach|Mina",
    "mood": "exhausted|thrilled|a bit lost|starving|proud of you|so behind|nervous|surprisingly fine|confused|bored",
    "deed": "pick up|drop off|pay for|look for|return|forget about|wrap|borrow|repair|photograph|carry|sell",
    "…": "like|honestly|maybe|just|actually|kind of|again|still|really|you know|at last|sadly|soon|only|probably|oddly",
    "why": "because the bus broke down|since nobody told me|although it was freezing|and then the power went out"
    "|because Leo has a fever|so the plan changed again|and honestly it was worth it|but the queue was endless",
}
CASUAL = """\
can you <deed> <thing> <when>
i think <who> wanted to <deed> <thing>
are we still meeting at <place> <when>
just left <place>, feeling <mood> <why>
did <who> say anything about <thing>
we could go to <place> <when> and <deed> <thing>
don't forget <thing>, <who> needs it <when>
<who> is <mood> at <place> <why>
i had to <deed> <thing> at <place> <why>
what if we ask <who> to <deed> <thing> instead
there's a new menu at <place>, want to try it <when>
saw <who> near <place> with <thing>""".splitlines()
FORMAL = """\
I spoke with <who> this morning, and we agreed to <deed> <thing> <when>.
Would it suit you if we met at <place> <when> rather than at <place>?
I am afraid that I was unable to <deed> <thing> <why>.
Please let <who> know that <thing> will be ready <when>.
It turned out that <who> had left <thing> at <place> <why>.
I should be grateful if you could <deed> <thing> before <who> arrives.
To be candid, I was <mood> <why>, and I would rather not repeat it.""".splitlines()
GERMAN = {
    "…": "halt|doch|eigentlich|mal|wohl|actually|noch|like|eben|ja|honestly|schon|vielleicht|leider|just|endlich|nur",
    "ort": "am Bahnhof|in der Küche|beim Bäcker|im Büro|vor der Kirche|am Müggelsee|in Köln|bei Oma|im Schwimmbad|auf dem Markt",
    "ding": "die Schlüssel|den Müll|das Päckchen|die Gäste|mein Fahrrad|die Brötchen|den Führerschein|das Geschenk|die Wäsche",
    "wann": "morgen früh|später|übermorgen|um fünf|nach der Schule|am Wochenende|heute Abend|in der Mittagspause|gegen zwölf",
    "tun": "abholen|zurückbringen|wegräumen|verkaufen|suchen|einpacken|reparieren|mitnehmen|fotografieren",
}
BILINGUAL = (
    [*CASUAL[:6]]
    + """\
kannst du <ding> <wann> <tun>?
ich bin <wann> <ort>, wir könnten <ding> <tun>
<who> hat gefragt, ob wir <ding> <tun> dürfen
ich müsste eigentlich noch <ding> <tun>, but i'm <mood>
schönes Wetter <ort>, wollen wir <wann> hin?
let's meet <ort> <wann>, dann <tun> wir <ding>""".splitlines()
)
PERSIAN = {
    "…": "شاید|واقعا|دوباره|فقط|هنوز|البته|انگار|به‌زودی|راستش|متاسفانه|حتما|تقریبا|بالاخره|لطفا",
    "کجا": "کتابخانه|خانه‌ی مادربزرگ|ایستگاه مترو|نانوایی|دانشگاه|پارک لاله|دفتر شما|بازار تجریش|کنار دریا|رستوران جدید",
    "چی": "کلیدها|کتاب‌های تاریخ|دوربین|بلیت‌ها|نان تازه|هدیه‌ی تولد|گذرنامه|شارژر|میوه‌ها|عکس‌ها",
    "کی": "فردا|امشب|بعد از ناهار|جمعه صبح|هفته‌ی آینده|ساعت شش|یک ساعت دیگر|دوشنبه|آخر هفته",
    "که": "سارا|برادرم|همسایه‌ها|استاد|رضا|خاله مینا|دوستانم|مادرت",
}
FARSI = """\
می‌خواهم <کی> به <کجا> بروم و <چی> را بگیرم
<که> گفت که <چی> را در <کجا> جا گذاشته است
نمی‌دانم <که> <کی> می‌آید یا نه
می‌توانی <کی> <چی> را برای <که> بیاوری؟
ما <کی> در <کجا> منتظر <که> می‌مانیم
هنوز <چی> را پیدا نکرده‌ام، شاید در <کجا> باشد
<که> خیلی خسته است ولی <کی> از <کجا> می‌رسد
دیروز در <کجا> با <که> درباره‌ی <چی> حرف زدیم
یادت باشد <چی> را <کی> از <کجا> برداری، <که> لازم دارد
اگر <که> <کی> وقت داشته باشد، <چی> را به <کجا> می‌بریم
چرا <که> هنوز <چی> را پس نداده؟ <کی> باید بروم <کجا>""".splitlines()
HINDI = {
    "…": "शायद|सच में|फिर|बस|अभी|वैसे|तो|थोड़ा|ज़रूर|लगभग|आख़िर|भी|यार|अचानक",
    "कहाँ": "स्टेशन|दादी के घर|पुस्तकालय|बाज़ार|दफ़्तर|नदी किनारे|नए कैफ़े|मंदिर के पास|स्कूल",
    "क्या": "चाबियाँ|किताबें|टिकट|मिठाई|कैमरा|जन्मदिन का तोहफ़ा|छाता|दवाइयाँ|पासपोर्ट",
    "कब": "कल सुबह|आज शाम|शुक्रवार को|खाने के बाद|एक घंटे में|अगले हफ़्ते|छह बजे|रविवार को",
    "कौन": "रिया|मेरा भाई|पड़ोसी|अध्यापक जी|मौसी|तुम्हारे दोस्त|विक्रम|माँ",
}
DEVANAGARI = """\
क्या तुम <कब> <कहाँ> से <क्या> ला सकते हो?
<कौन> ने कहा कि <क्या> <कहाँ> पर छूट गई थी
मैं <कब> <कहाँ> पहुँचूँगा, <कौन> को बता देना
हम <कब> <कौन> के साथ <कहाँ> चलेंगे
मुझे <क्या> नहीं मिल रही, शायद <कौन> के पास है
राष्ट्र‌पति भवन के पास <कौन> <कब> <क्या> लेकर मिलेंगे
<कौन> को <क्या> बहुत पसंद आई, <कब> फिर <कहाँ> चलेंगे
अगर <कब> बारिश हुई तो <कौन> <क्या> लेकर <कहाँ> नहीं जाएगा""".splitlines()
LABELLED = (
    [*CASUAL]
    + """\
Address: 12 <who> Street, near <place>
Plan: meet <who> at <place>, then <deed> <thing> <when>
PS: <who> will <deed> <thing> <when>
look https://example.org/<who>/<thing>?at=<when>
Mum: "call <who> <when>" is all the note said
update: <who> is at <place>
quote of the day: "<who> was <mood> <why>\"""".splitlines()
)
EMOJI = "😂|❤️|👍🏽|👩‍👩‍👧|🙏🏿|🏳️‍🌈|🇩🇪|👨🏻‍💻|☕️|🤷🏾‍♀️|✌️|1️⃣|🎉|🫶🏼".split("|")
STOCK = "lol|ok|omw|haha|yes|no|sure|k|idk|same|nice|ty|np|on it|good night|love you".split("|")


def _emoji(dice, text):
    return f"{text} {''.join(dice.choices(EMOJI, k=dice.randrange(1, 4)))}"


def _stock(dice, text):
    return dice.choice(STOCK) if dice.random() < 0.6 else text


def _as_is(dice, text):
    return text


# name -> the owner; clauses; their words; how the others write; how the owner writes
PERSONAS = {
    "texter": ("Sam", CASUAL, ENGLISH, _as_is, _as_is),
    "formal": ("Dr. Eleanor Whitcombe", FORMAL, ENGLISH, _as_is, _as_is),
    "bilingual": ("Jörg", BILINGUAL, ENGLISH | GERMAN, _as_is, _as_is),
    "emoji": ("Noor", CASUAL, ENGLISH, _emoji, _emoji),
    "persian": ("نیلوفر", FARSI, PERSIAN, _as_is, _as_is),
    "hindi": ("आरव", DEVANAGARI, HINDI, _as_is, _as_is),
    "labels": ("Alex", LABELLED, ENGLISH, _as_is, _as_is),
    "stock": ("Mo", CASUAL, ENGLISH, _stock, _stock),
}


def system_of(persona: str) -> str:
    return SYSTEM.format(owner=PERSONAS[persona][0])


def sessions(persona: str, dice: random.Random):
    """Yield conversations without end: lists of (is the owner's, text), the owner's turn last."""
    owner, clauses, words, theirs, ours = PERSONAS[persona]
    choices = {slot: options.split("|") for slot, options in words.items()}

    def clause():
        text = re.sub(r"<([^>]+)>", lambda slot: dice.choice(choices[slot[1]]), dice.choice(clauses)).split(" ")
        for _ in range(dice.randrange(3)):
            text.insert(dice.randrange(1, len(text)), dice.choice(choices["…"]))
        return " ".join(text)

    said = set()  # nobody says the same long sentence twice

    def sentence():
        text = dice.choice([", ", "\n", " "]).join(clause() for _ in range(dice.choice([1, 1, 1, 2, 2, 3])))
        while text in said:
            text = f"{text} {clause()}"
        said.add(text)
        return text

    while True:
        turns = []
        for _ in range(dice.randrange(2, 6)):
            turns += [(False, theirs(dice, sentence())) for _ in range(dice.randrange(1, 3))]
            turns.append((True, ours(dice, sentence())))
        yield turns


def rows_of(session: list, owner: str, system: str | None, form: str = "plain", most: int = MESSAGES):
    """Yield (first, last, row) for each reply of a session: its context and itself are session[first : last + 1].

    `form`: plain, tagged or wrapped puts the context into one user turn; turns makes every
    earlier reply an assistant turn.
    """
    for at, (mine, reply) in enumerate(session):
        if not mine:
            continue
        first = max(0, at - most)
        context = session[first:at]
        if form == "turns":
            middle = _turns(context)
        else:
            middle = [{"role": "user", "content": user_turn(context, owner, form)}]
        start = [{"role": "system", "content": system}] if system else []
        yield first, at, {"messages": [*start, *middle, {"role": "assistant", "content": reply}]}


def user_turn(context: list, owner: str, form: str) -> str:
    lines = [f"{owner if mine else 'Contact'}: {text}" for mine, text in context]
    plain = "\n".join(lines)
    if form == "tagged":
        return f"<conversation>\n{plain}\n</conversation>\n<last_message>\n{lines[-1]}\n</last_message>"
    return f"Context:\n{plain}\n\nLast Message: {context[-1][1]}" if form == "wrapped" else plain


def _turns(context: list) -> list[dict]:
    """Consecutive messages of one side are one turn; the first turn is the other person's."""
    turns = []
    for mine, text in context:
        role = "assistant" if mine else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += "\n" + text
        elif turns or not mine:
            turns.append({"role": role, "content": text})
    return turns


def dataset(
    persona: str, sizes: dict[str, int], form: str = "plain", system: bool = True, seed: int = 0
) -> tuple[dict[str, list[dict]], list[dict]]:
    """Rows by split, in order of time and no session divided, and the lines of their meta.jsonl."""
    owner, source = PERSONAS[persona][0], sessions(persona, random.Random(f"{persona} {form} {seed}"))
    spoken = system_of(persona) if system else None
    splits, meta = {}, []
    for split, size in sizes.items():
        rows = splits[split] = []
        while len(rows) < size:
            session = f"{split}-{len(rows)}"
            for first, last, row in rows_of(next(source), owner, spoken, form, CONTEXT.get(persona, MESSAGES)):
                if len(rows) == size:
                    break
                ids = [f"{session}-{message}" for message in range(first, last + 1)]
                meta.append(
                    {"split": split, "row": len(rows), "conversation": "ann", "session": session}
                    | {"context_ids": ids[:-1], "reply_ids": ids[-1:]}
                )
                rows.append(row)
    return splits, meta
