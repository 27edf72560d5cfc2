"""What can differ between the prompt in training and the app's prompt: one check each."""

from ..findings import Check

_OWN_STRING = "The app writes the prompt itself, and differently from the chat template that training uses."
_SAME_MESSAGES = "Give the app the same messages as training (ftstudy.chat_format), or train on the app's."
_TEMPLATE = "Build the prompt with tokenizer.apply_chat_template(messages, add_generation_prompt=True)."

BOS = Check(
    "parity.bos",
    ("error",),
    "The start token is missing or doubled on one side.",
    cause="mlx_lm.generate adds a BOS to a string that lacks one, if the tokenizer does; a string that has one gets a "
    "second from a plain tokenizer.encode.",
    fix="Send the token ids of apply_chat_template, as in training.",
    bad='ids = tokenizer.encode("<s>[INST] hey [/INST]")   # a tokenizer that adds <s>',
    good="ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True)",
)
SYSTEM_TEXT = Check(
    "parity.system_text",
    ("error",),
    "The app's system text differs from training.",
    cause="The app has its own system text.",
    fix=_SAME_MESSAGES,
    bad='training: "You are Sam. Reply to text messages the way Sam texts."   app: "You are Sam, a tech founder."',
    good="the same system text on both sides",
)
DEFAULT_SYSTEM = Check(
    "parity.default_system",
    ("error",),
    "One side has no system message (or an empty one), so the template's default text, or nothing, takes its place.",
    cause="Without a system message some templates insert their own text; with an empty one they don't.",
    fix="Send the system message of the training data, or none if training has none.",
    bad='training: {"role": "system", "content": "You are Sam."}   app: no system message',
    good="the same system message on both sides",
)
USER_WRAPPER = Check(
    "parity.user_wrapper",
    ("error",),
    "The app writes the user's turn in a different form than training.",
    cause="The app wraps or rewrites the user's turn.",
    fix=_SAME_MESSAGES,
    bad='training: "Ann: hey"   app: "Context:\\nAnn: hey\\n\\nLast Message: hey"',
    good='"Ann: hey" on both sides',
)
EARLIER_REPLIES = Check(
    "parity.earlier_replies",
    ("error",),
    "Earlier turns are missing from the app's prompt, or differ.",
    cause="The app drops, adds or rewrites turns before the last one.",
    fix=_SAME_MESSAGES,
    bad="training: user, assistant, user   app: user",
    good="the same turns on both sides",
)
ROLE_HEADER = Check(
    "parity.role_header",
    ("error",),
    "The markup between the turns is not the chat template's.",
    cause=_OWN_STRING,
    fix=_TEMPLATE,
    bad='prompt = f"### User: {text}\\n### Assistant:"   # a model with a ChatML template',
    good="prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)",
)
WHITESPACE = Check(
    "parity.whitespace",
    ("error",),
    "Only white space differs, in the markup or at the edges of contents.",
    cause=_OWN_STRING + " A line break is a token too.",
    fix=_TEMPLATE,
    bad='"<|im_start|>assistant"   # without the line break after it',
    good='"<|im_start|>assistant\\n"',
)
TEMPLATE_ARGUMENTS = Check(
    "parity.template_arguments",
    ("error", "info"),
    "The chat template is used with other arguments (a think block, tools); an info if training still contains the "
    "prompt.",
    cause="Arguments such as enable_thinking change what the template writes. mlx-lm sets enable_thinking to True if the "
    "tokenizer has think tokens, otherwise to False; other runtimes leave it out.",
    fix="Call the template with the same arguments on both sides.",
    bad="apply_chat_template(messages, enable_thinking=False)   # trained with thinking",
    good="apply_chat_template(messages)   # on both sides",
)
END_OF_PROMPT = Check(
    "parity.end_of_prompt",
    ("error",),
    "The header of the reply is missing, or text follows it.",
    cause="add_generation_prompt=True is missing, or a string continues after the header of the reply.",
    fix=_TEMPLATE,
    bad="apply_chat_template(messages)",
    good="apply_chat_template(messages, add_generation_prompt=True)",
)
PROFILE_FAILS = Check(
    "parity.profile_fails",
    ("error",),
    "The inference profile gives no prompt: its function or its file is faulty.",
    cause="Its function raises or returns no prompt, its texts don't suit the chat template, or its file is damaged.",
    fix="Fix the function, the texts or the file; `ftstudy.chat_format.capture` records what an app really sends.",
    bad="function: my_app:prompt   # which returns None",
    good="function: my_app:prompt   # which returns a string, token ids or messages",
)
CAPTURED_ROWS = Check(
    "parity.captured_rows",
    ("warning",),
    "The captured prompts cover none or only some of the rows.",
    cause="The recording stopped early, or was made on other data.",
    fix="Record the app again over all rows of one split.",
    bad="60 recorded prompts for 100 rows of test.jsonl",
    good="100 recorded prompts for 100 rows",
)
NO_PROFILE = Check(
    "parity.no_profile",
    ("info",),
    "No inference profile was given, so nothing is known about the app's prompt.",
    cause="Without a profile, it is unknown whether the app asks in the form that training used.",
    fix="Describe your app's prompt in a YAML profile and pass it with INFERENCE=… or --inference.",
    bad="",
    good="",
)
ASPECTS = {  # what a prompt differs in, for titles
    BOS: "the start token",
    SYSTEM_TEXT: "the system text",
    DEFAULT_SYSTEM: "the system text, which only one side has",
    USER_WRAPPER: "the form of the user's turn",
    EARLIER_REPLIES: "the earlier turns",
    ROLE_HEADER: "the role headers",
    WHITESPACE: "white space",
    TEMPLATE_ARGUMENTS: "the chat template's arguments",
    END_OF_PROMPT: "the header of the reply",
}
OF_REGION = {  # the check on each region of `alignment.ASPECTS`
    "bos": BOS,
    "system": SYSTEM_TEXT,
    "user": USER_WRAPPER,
    "assistant": EARLIER_REPLIES,
    "markup": ROLE_HEADER,
    "generation": END_OF_PROMPT,
}
OF_PROMPTS = (*ASPECTS, PROFILE_FAILS, CAPTURED_ROWS, NO_PROFILE)
