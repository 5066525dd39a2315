#!/usr/bin/env python3
"""Writes down what Python says about patterns, for tests that compare hfdl with it.

    fnmatch_corpus.py [--check] [DIRECTORY]

Writes `fnmatch_corpus.txt` into DIRECTORY (default: tests/it/data), one row a
line: pattern, name, 1 or 0, parted by tabs, with `\\n`, `\\t`, `\\r` and `\\\\` for
what a line cannot hold. The judge is `fnmatch.fnmatchcase` of Python 3.10 or
newer, whose way with odd classes is the one that the official client has.

Where `huggingface_hub` can be imported, `filter_corpus.jsonl` is written too:
lists of patterns and a path, judged by `filter_repo_objects`.

With --check nothing is written; the exit code is 1 when a file would change.
"""

import json
import re
import sys
import warnings
from fnmatch import fnmatchcase
from pathlib import Path

# Nested sets and the like are only warned about; the answer is what counts.
warnings.simplefilter("ignore", FutureWarning)

N_RANDOM = 7_000
N_FILTERS = 600

# Each of these is tried on each of NAMES and on what it says itself.
PATTERNS = [
    "", "*", "**", "?", "??", "*?", "?*", "***a", "a*", "*a", "*a*", "a*b*c", "a**b", "a?c",
    "*.json", "*.safetensors", "data/*", "data/**", "**/data", "data/*/x", "*/x.json", "original/*", "*.gguf",
    "[", "[]", "[!", "[!]", "[]]", "[!]]", "[]a]", "[!]a]", "[]-a]", "[!]-a]", "a[", "a[b", "[a", "[a-", "a]",
    "[a]", "[!a]", "[a-c]", "[!a-c]", "[a-]", "[!a-]", "[-a]", "[!-a]", "[-]", "[!-]", "[--]", "[---]", "[--0]", "[!--0]",
    "[+--]", "[z-a]", "[!z-a]", "[z-ac]", "[cz-a]", "[!cz-a]", "[z-a-c]", "[a-c-e]", "[a-c-]", "[a--c]", "[a-z-9]",
    "[z-a!b]", "[z-a^b]", "[z-a]]", "[c-a-z]", "[9-0a-c]", "[a-c9-0]", "[9-0z-a]", "[!9-0z-a]", "[z-ay-b]", "[z-a-!]", "[z-a!-c]", "[z-a!-ce-g]", "[z-a!]", "[!z-a!b]", "[9-0z-a!b]",
    "[^a]", "[!^a]", "[a^]", "[^]", "[^]]", "[[]", "[[a]", "[[a]]", "[a[b]", "[!!]", "[!!a]", "[a!]", "[&&]", "[a&&b]", "[a||b]",
    "[a~~b]", "[.]", "[*]", "[?]", "[*?]", "[a-c][0-9]", "[a-c]?[!0-9]*", "*[a-c]", "[[:alpha:]]", "(a|b)", "a.c", "a+c", "a$", "^a",
    "{a,b}", "$", "\\", "\\*", "[\\]", "[\\\\]", "[a\\]", "[\\-a]", "[!\\]", "[\\a-c]", "[+-\\]", "a\\b", "\\d",
    "é", "e\u0301", "[é]", "[à-ü]", "[!à-ü]", "ß", "*ß*", "[α-ω]*", "日本*", "?本", "[一-龯]", "😀", "?😀", "[😀-😂]", "\n", "a\n", "[\n]", "a?b",
    "\t", "a\tb", "A", "[A-Z]", "[A-z]", "[ -~]", "-", "!", "]", "model-0000[1-3]-of-*.safetensors", "[0-9]*", "*[!0-9]", " ", "a b",
]
NAMES = [
    "", "a", "b", "c", "z", "A", "abc", "aXc", "ab", "ba", "a/b", "a/b/c", "a.c", "-", "!", "^", "[", "]", "\\", "&", "|", "~",
    "[a]", "[a", "a]", "[]", "0", "9", "*", "?", ".", "é", "e\u0301", "ß", "ω", "日本語", "日本", "😀", "😁", "a😀",
    "\n", "a\n", "a\nb", "\t", "a\tb", "a b", "data/x", "data/a/x", "data/x.json", "config.json", "model-00002-of-00003.safetensors",
]
PIECES = [
    "*", "*", "?", "a", "b", "c", "z", "A", "0", "9", "/", ".", "-", "!", "]", "^", "\\", "é", "ω", "😀", "\n", "ab", ".json",
]
CLASS_PIECES = [
    "a", "b", "c", "y", "z", "A", "Z", "0", "5", "9", "-", "-", "-", "!", "^", "[", "&", "|", "~", "\\", "é", "ω", "😀", "\n", "]", ".", "/",
]
LETTERS = "abcyzAZ059-!^[]&|~\\éω😀\n./*?"


class Dice:
    """A generator of its own: the one in Python may change between versions."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % n

    def pick(self, items):
        return items[self.below(len(items))]


def random_class(dice):
    body = "".join(dice.pick(CLASS_PIECES) for _ in range(dice.below(6)))
    close = "" if dice.below(12) == 0 else "]"
    return "[" + dice.pick(["", "", "!"]) + body + close


def random_pattern(dice):
    return "".join(
        random_class(dice) if dice.below(3) == 0 else dice.pick(PIECES) for _ in range(1 + dice.below(5))
    )


def name_for(dice, pattern):
    """A name that has a chance: each element of the pattern replaced by something."""
    name = ""
    for element in re.findall(r"\[!?\]?[^\]]*\]|(?s:.)", pattern):
        if element == "*":
            name += "".join(dice.pick(LETTERS) for _ in range(dice.below(3)))
        elif element == "?":
            name += dice.pick(LETTERS)
        elif len(element) > 1:
            name += dice.pick(element + LETTERS)
        else:
            name += element
    if dice.below(8) == 0:
        name += dice.pick(LETTERS)
    return name


def escaped(text):
    for plain, code in (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        text = text.replace(plain, code)
    return text


def fnmatch_corpus():
    dice = Dice(20_240_229)
    pairs = {(pattern, name): None for pattern in PATTERNS for name in [*NAMES, pattern]}
    while len(pairs) < len(PATTERNS) * len(NAMES) + N_RANDOM:
        pattern = random_pattern(dice)
        pairs[pattern, name_for(dice, pattern)] = None
    rows = (f"{escaped(p)}\t{escaped(n)}\t{int(fnmatchcase(n, p))}\n" for p, n in pairs)
    return "".join(rows)


def filter_corpus(filter_repo_objects):
    dice = Dice(7)
    patterns = [
        "*.json", "*.safetensors", "data/", "data", "data/*", "*", "README.md", "*/", "sub/data/", "[a-c]*", "*.JSON", "a\\b", "a/b",
        "*.txt", "tokenizer*", "original/*", "*.gguf", "x/", "?.txt", "*Q4_K_M*",
    ]
    paths = [
        "config.json", "data/a.json", "data/sub/b.txt", "sub/data/c.json", "data", "README.md", "model.safetensors", "a/b", "x/y/z.gguf",
        "tokenizer.json", "tokenizer/vocab.txt", "original/model.bin", "model-Q4_K_M-00001-of-00002.gguf", "b.txt", "A.JSON", "dataset/a.json",
    ]
    rows = {}
    while len(rows) < N_FILTERS:
        include = None if dice.below(4) == 0 else [dice.pick(patterns) for _ in range(dice.below(4))]
        exclude = [dice.pick(patterns) for _ in range(dice.below(3))]
        path = dice.pick(paths)
        kept = list(filter_repo_objects([path], allow_patterns=include, ignore_patterns=exclude))
        row = {"include": include, "exclude": exclude, "path": path, "selected": kept == [path]}
        rows[json.dumps(row)] = None
    return "".join(f"{row}\n" for row in rows)


def main():
    words = [word for word in sys.argv[1:] if word != "--check"]
    check = len(words) < len(sys.argv) - 1
    directory = Path(words[0]) if words else Path(__file__).parents[1] / "it" / "data"
    files = {"fnmatch_corpus.txt": fnmatch_corpus()}
    try:
        from huggingface_hub.utils import filter_repo_objects
    except ImportError:
        print("huggingface_hub is not installed: filter_corpus.jsonl is left as it is", file=sys.stderr)
    else:
        files["filter_corpus.jsonl"] = filter_corpus(filter_repo_objects)
    changed = []
    for name, text in files.items():
        path = directory / name
        if check:
            if not path.exists() or path.read_bytes() != text.encode():
                changed.append(name)
        else:
            path.write_bytes(text.encode())
        print(f"{name}: {text.count(chr(10))} rows")
    if changed:
        sys.exit(f"error: not what this Python says: {', '.join(changed)}")


if __name__ == "__main__":
    main()
