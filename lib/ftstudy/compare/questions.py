"""Short questions with one right answer, for `ability`.

`questions.txt` has topics, each followed by its lines of "question | right | wrong | wrong | wrong". Plain words and
answers of about equal length: what a small model knows is enough to see whether training took it away.
"""

from pathlib import Path

FILE = Path(__file__).with_name("questions.txt")


def questions() -> list[dict]:
    """Each question: `topic`, `question`, and four `answers`, the right one first."""
    found, topic = [], ""
    for line in FILE.read_text(encoding="utf-8").splitlines():
        question, *answers = line.split(" | ")
        if not answers:
            topic = question
        else:
            found.append({"topic": topic, "question": question, "answers": answers})
    return found
