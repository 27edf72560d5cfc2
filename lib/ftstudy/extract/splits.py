"""Reply pairs -> train, valid, test and heldout.

In each conversation the newest sessions are test, the next newest valid and the older ones train, so that test contains
as many conversations as it can. Sessions are never divided: a context never reaches beyond its session, so no reply of
one split is in the context of another.
"""

from collections import defaultdict
from hashlib import sha256
from itertools import accumulate

from .variant_folder import HELDOUT, SPLITS

COPIES = 3  # conversations that have so often the same two messages in a row at the same times are copies


def split(
    pairs: list[dict], valid_share: float = 0.1, test_share: float = 0.1, heldout_share: float = 0.05
) -> dict[str, list[dict]]:
    """Split name -> pairs, oldest sessions first: train, valid and test by time within each conversation, heldout by
    person.

    Whole conversations, in an order given by a hash, go into heldout until they make up `heldout_share` of the pairs;
    so the same history is always split in the same way. In each of the others, a split ends at the session border
    nearest to its share. What a conversation gives too much or too little of is settled by the next ones, so that test
    and valid end up at most the longest session's rows away from their shares, and train twice that. A conversation is
    sure to be in all three splits if no session of it exceeds its share of the smallest split.

    With three sessions or more, no split is empty: if one were, all sessions would be divided by time, as if they were
    one conversation's.
    """
    pairs = sorted(pairs, key=lambda pair: (pair["bubbles"][0].time, pair["bubbles"][0].message_id))
    conversations, sessions = defaultdict(lambda: defaultdict(list)), defaultdict(list)
    for pair, (conversation, session) in zip(pairs, _origins(pairs)):
        conversations[conversation][session].append(pair)
        sessions[session].append(pair)
    rest, heldout = _held_out(conversations.values(), len(pairs) * heldout_share)
    place = _divide(rest, valid_share, test_share)
    if rest and len(set(place.values())) < len(SPLITS):
        place = _divide([{name: found for name, found in sessions.items() if name in place}], valid_share, test_share)
    place |= {name: HELDOUT for one in heldout for name in one}
    parts = {name: [] for name in (*SPLITS, HELDOUT)}
    for name, found in sessions.items():
        parts[place[name]] += found
    return parts


def _origins(pairs: list[dict]) -> list[tuple]:
    """Each pair's conversation and session. Copies, such as two exports of a chat that was renamed in between, count as
    one conversation, and the copies of a session as one session."""
    first, shared = {}, defaultdict(dict)
    for pair in pairs:
        own = pair["conversation"], pair["session"]
        said = [(message.time, message.text) for message in (*pair["context"], *pair["bubbles"])]
        for moment in zip(said, said[1:]):
            before = first.setdefault(moment, own)
            if before[0] != own[0]:
                shared[before[0], own[0]][moment] = before, own
    original = {}  # of a copied conversation or session

    def find(one):
        while one in original:
            one = original[one]
        return one

    for (conversation, copy), moments in shared.items():
        for one, other in {(conversation, copy), *moments.values()} if len(moments) >= COPIES else ():
            if find(one) != find(other):
                original[find(other)] = find(one)
    return [(find(pair["conversation"]), find((pair["conversation"], pair["session"]))) for pair in pairs]


def _held_out(conversations, room: float) -> tuple[list[dict], list[dict]]:
    """The conversations (session -> its pairs) that stay, and those that are held out, which have at most `room` pairs."""
    rest, heldout = [], []
    for one in sorted(conversations, key=_hash):
        size = sum(map(len, one.values()))
        if size <= room:
            room -= size
            heldout.append(one)
        else:
            rest.append(one)
    return rest, heldout


def _hash(conversation: dict) -> str:
    # Of a message id, which masking keeps, not of a name.
    pair = next(iter(conversation.values()))[0]
    return sha256(pair["bubbles"][0].message_id.encode()).hexdigest()


def _divide(conversations: list[dict], valid_share: float, test_share: float) -> dict:
    """Session -> its split. Conversations with a long session come first, since short ones can settle what is left."""
    place, owed, owed_test = {}, 0.0, 0.0  # pairs still to be given to valid and test together, and to test alone
    smallest = min(valid_share, test_share, 1 - valid_share - test_share)
    for sessions in sorted(conversations, key=_longest, reverse=True):
        until = [0, *accumulate(map(len, sessions.values()))]  # the number of pairs before each border of sessions
        pairs, borders = until[-1], len(sessions)
        owed += pairs * (valid_share + test_share)
        owed_test += pairs * test_share
        is_only = len(conversations) == 1 and borders >= len(SPLITS)
        least = 1 if is_only or _longest(sessions) <= pairs * smallest else 0  # sessions that each split gets
        valid_end = _nearest(until, pairs - owed_test, 2 * least, borders - least)
        train_end = _nearest(until, pairs - owed, least, valid_end - least)
        owed -= pairs - until[train_end]
        owed_test -= pairs - until[valid_end]
        place |= {name: SPLITS[(at >= train_end) + (at >= valid_end)] for at, name in enumerate(sessions)}
    return place


def _longest(conversation: dict) -> int:
    return max(map(len, conversation.values()))


def _nearest(until: list[int], wanted: float, first: int, last: int) -> int:
    return min(range(first, last + 1), key=lambda border: abs(until[border] - wanted))
