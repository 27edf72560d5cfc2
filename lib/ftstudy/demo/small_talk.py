"""Made-up conversations from a seed: people who make plans, ask things and answer.

    sessions("ann", "casual", "sam", 3)    three sessions of one conversation with a friend

What is answered follows from what is asked (the food that was offered, the time agreed before); how it is said is the
writer's voice: `polite`, as an assistant answers, `short`, as anybody does, or `sam`, the owner's of the sample.
"""

import random
import re

OWNER = "Sam"
FRIENDS = (
    "Alex Anna Ben Carla Chris Dana Elif Emma Finn Grace Hana Igor Jonas Julia Kim Lars Leo Lina Maria Max Mia Nils "
    "Noor Olga Omar Paul Rosa Sara Theo Tom Vera Yuki"
).split()
SLOTS = {
    "activity": "go swimming|play tennis|go for a run|see a film|get dinner|go climbing|play chess|get coffee|"
    "go dancing|cook together|go hiking|watch the game|visit the museum|go bowling|take a walk|ride bikes",
    "day": "monday|tuesday|wednesday|thursday|friday|saturday|sunday",
    "time": "1|2|3|4|5|6|7|8|9|10|11",
    "place": "station|park|cafe|library|bridge|market|harbour|cinema|bakery|pool|museum|school|church|gym|garden|corner",
    "food": "pizza|pasta|soup|curry|salad|sushi|tacos|rice|burgers|noodles|pancakes|fish|dumplings|toast",
    "other": "pie|stew|ramen|beans|steak|waffles|falafel|eggs|chili|bread",
    "film": "red door|silver moon|night train|long road|paper boats|blue river|last stop|cold summer|two brothers|"
    "green island|white noise|golden hour",
    "item": "tent|camera|umbrella|guitar|blanket|charger|map|cake|ball|speaker|jacket|book|chairs|torch",
    "doing": "cooking|reading|working|cleaning|studying|packing|drawing|gardening|painting|resting|shopping|baking",
    "weather": "cold|windy|sunny|wet|hot|foggy|cloudy|icy",
    "event": "exam|concert|party|trip|interview|wedding|match|meeting|holiday|show",
    "number": "12|15|18|20|25|30|35|40|45|50|60|75",
    "pet": "cat|dog|rabbit|parrot|pony|hamster|turtle|goat",
}
INVITED = "do you want to {activity} on {day}?|are you free to {activity} on {day}?|shall we {activity} on {day}?"
BUSY = ("monday", "thursday")  # the days on which nobody but the polite can be sure to get a yes from Sam

# intent: what is asked; and what each voice answers. Several lines of an answer are equally likely.
INTENTS = {
    "greet": (
        "hello, how are you?|hi, how is it going?|hey, how are things with you?",
        {
            "polite": "I am very well, thank you. How are you?|I am doing well, thank you for asking.",
            "short": "fine, thanks|all good, and you?|not bad",
            "sam": "good good u? 😊|heyy all good|yo im good wbu",
        },
    ),
    "invite": (
        INVITED,
        {
            "polite": "Yes, I would love to {activity} on {day}.|I would be happy to {activity} with you on {day}.",
            "short": "yes, {day} works|sure, {activity} sounds good",
            "sam": "im down 😎|omg yes {day} pls|ya {day} works",
        },
    ),
    "refuse": (
        INVITED,
        {
            "polite": "I am sorry, but I cannot {activity} on {day}.|Unfortunately I am not free on {day}.",
            "short": "no, not on {day}|sorry, {day} is bad",
            "sam": "cant {day} sry 😭|nah {day} is work",
        },
    ),
    "time": (
        "what time should we meet?|when do you want to meet?|what time is good for you?",
        {
            "polite": "I suggest that we meet at {time}, if that suits you.|Let us meet at {time}.",
            "short": "maybe at {time}|at {time} is good",
            "sam": "{time}ish? 🙌|lets say {time}|{time} works",
        },
    ),
    "place": (
        "where should we meet?|where do you want to meet?|which place is good?",
        {
            "polite": "I suggest that we meet at the {place}.|We could meet in front of the {place}.",
            "short": "at the {place}|the {place} is good",
            "sam": "the {place}? 📍|lets do the {place}|by the {place} lol",
        },
    ),
    "time again": (
        "sorry, what time did we say?|what time was it again?",
        {
            "polite": "We agreed to meet at {time}.|It was {time}.",
            "short": "we said {time}|at {time}",
            "sam": "{time} lol|we said {time} 😂",
        },
    ),
    "place again": (
        "sorry, where did we say?|where was it again?",
        {
            "polite": "We agreed to meet at the {place}.|It was the {place}.",
            "short": "we said the {place}|at the {place}",
            "sam": "the {place} lol|{place}! 😂",
        },
    ),
    "food": (
        "do you want {food} or {other}?|should i get {food} or {other}?|{food} or {other} tonight?",
        {
            "polite": "I would prefer {food}, please.|I think that {food} would be lovely.",
            "short": "{food}, please|i like {food} more",
            "sam": "{food} ofc 😋|{food} pls pls|def {food} lol",
        },
    ),
    "bring": (
        "can you bring the {item}?|could you bring your {item}?|will you bring the {item}?",
        {
            "polite": "Certainly, I will bring the {item}.|Yes, I would be glad to bring the {item}.",
            "short": "yes, i have the {item}|ok, i can bring it",
            "sam": "ya got the {item} 👍|k bringing the {item}|ya np",
        },
    ),
    "film": (
        "have you seen {film}?|did you watch {film} yet?|what did you think of {film}?",
        {
            "polite": "Yes, I have seen {film} and I enjoyed it very much.|I thought that {film} was excellent.",
            "short": "yes, {film} was good|i liked {film}",
            "sam": "{film} 🔥🔥|omg {film} 😭|{film} was ok",
        },
    ),
    "thanks": (
        "thank you for your help!|thanks a lot!|that is so kind, thank you",
        {
            "polite": "You are very welcome.|It was my pleasure.",
            "short": "no problem|any time",
            "sam": "np 💛|ofc ofc|anytime 💛",
        },
    ),
    "late": (
        "i am {number} minutes late, sorry|sorry, i need {number} more minutes",
        {
            "polite": "That is not a problem, I will wait for you.|Please do not worry about the {number} minutes.",
            "short": "no problem|ok, see you then",
            "sam": "kk no rush|np im late too|take ur {number} 😂",
        },
    ),
    "price": (
        "how much was the {item}?|what did the {item} cost?|was the {item} expensive?",
        {
            "polite": "The {item} cost {number} pounds.|I paid {number} pounds for the {item}.",
            "short": "it was {number}|about {number}",
            "sam": "like {number} lol|{number} quid 💸|{number} i think",
        },
    ),
    "doing": (
        "what are you doing?|what are you up to?|are you busy?",
        {
            "polite": "I am {doing} at the moment. How can I help you?|At the moment I am {doing}.",
            "short": "just {doing}|{doing}, and you?",
            "sam": "just {doing} rn|{doing} lol u?|ugh {doing} 😩",
        },
    ),
    "weather": (
        "is it {weather} there?|how {weather} is it today?",
        {
            "polite": "Yes, it is quite {weather} here today.|It is rather {weather}, please dress well.",
            "short": "yes, very {weather}|a bit {weather}",
            "sam": "ya so {weather} 🥶|yes {weather} af|kinda {weather} tbh",
        },
    ),
    "event": (
        "how was the {event}?|how did the {event} go?|was the {event} good?",
        {
            "polite": "The {event} was very nice, thank you for asking.|I am pleased to say that the {event} went well.",
            "short": "the {event} was good|it went well",
            "sam": "{event} was so good|ngl {event} was meh|best {event} ever 🎉",
        },
    ),
    "pet": (
        "how is your {pet}?|is your {pet} well?|can i see the {pet} again?",
        {
            "polite": "My {pet} is doing very well, thank you.|You are always welcome to visit my {pet}.",
            "short": "the {pet} is fine|my {pet} is good",
            "sam": "{pet} is asleep 😴|{pet} says hi 🐾|{pet} ate my sock",
        },
    ),
    "bye": (
        "good night!|see you soon!|talk to you later",
        {
            "polite": "Good night, and sleep well.|I look forward to seeing you.|Goodbye, and take care.",
            "short": "good night|see you",
            "sam": "nighty 😴|cya 👋|byeee",
        },
    ),
}
MIDDLE = [name for name in INTENTS if name not in ("greet", "refuse", "time again", "place again", "bye")]
CASUAL = {"you": "u", "are": "r", "your": "ur", "please": "pls", "thanks": "thx", "tonight": "2nite", "and": "n"}
VOICES = ("proper", "plain", "casual", "loud")  # of friends


def sessions(seed: object, friends_voice: str, voice: str, count: int) -> list[list[tuple[str, str]]]:
    """`count` sessions of one conversation: exchanges of (what the friend writes, what is answered in `voice`).

    The same arguments give the same conversation.
    """
    return [_session(random.Random(f"{seed} {number}"), friends_voice, voice) for number in range(count)]


def _session(draw: random.Random, friends_voice: str, voice: str) -> list[tuple[str, str]]:
    slots = {name: draw.choice(values.split("|")) for name, values in SLOTS.items()}
    middle = draw.sample(MIDDLE, draw.randint(2, 5))
    again = [f"{name} again" for name in ("time", "place") if name in middle and draw.random() < 0.7]
    begins, ends = draw.random() < 0.5, draw.random() < 0.4
    exchanges = []
    for name in [*["greet"] * begins, *middle, *again, *["bye"] * ends]:
        if name not in ("time again", "place again", "place", "time"):
            slots |= {key: draw.choice(SLOTS[key].split("|")) for key in SLOTS if key not in ("time", "place")}
        if name == "invite" and (slots["day"] in BUSY if voice == "sam" else draw.random() < 0.3):
            name = "refuse"
        questions, answers = INTENTS[name]
        asked = draw.choice(questions.split("|")).format(**slots)
        answered = draw.choice(answers[voice].split("|")).format(**slots)
        if voice == "sam" and len(answered.split()) < 4 and draw.random() < 0.2:
            answered = draw.choice(["lol ", "haha ", "omg "]) + answered
        exchanges.append((spoken(asked, friends_voice, draw), answered))
    return exchanges


def spoken(text: str, voice: str, draw: random.Random) -> str:
    """A line in a friend's voice."""
    if voice == "proper":
        return re.sub(r"(^|[.?!] )([a-z])", lambda found: found[1] + found[2].upper(), text).replace(" i ", " I ")
    if voice == "casual":
        words = [CASUAL.get(word, word) for word in re.sub(r"[,.]", "", text).split()]
        return " ".join(words) + draw.choice(["", "", " lol", " 😊", " 🙏"])
    if voice == "loud":
        return text.rstrip("?!. ") + draw.choice(["!!", "??", "!?"])
    return text
