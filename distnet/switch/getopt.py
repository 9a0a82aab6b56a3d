"""Command lines as getopt_long_only(3) reads them, for an option parser that wants two dashes."""

from __future__ import annotations

from collections.abc import Sequence


def double_dashes(words: Sequence[str], short: str, long: Sequence[str]) -> list[str]:
    """
    Command-line words with two dashes before long options that have one, as getopt_long_only(3).

    @param short: letters, each with a colon after it if it has a value, as for getopt(3).
    @param long: names, each with an equals sign after it if it has a value.
    """
    names = {name.rstrip("="): name.endswith("=") for name in long}
    result: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--" or not word.startswith("-") or word == "-":
            # What follows is not options.
            return [*result, word, *left]
        name = word.lstrip("-").partition("=")[0]
        meant = [name] if name in names else [full for full in names if full.startswith(name)]
        is_long = word.startswith("--") or (len(word) > 2 and bool(meant))
        result.append(f"-{word}" if is_long and not word.startswith("--") else word)
        if is_long:
            takes_next = "=" not in word and any(names[full] for full in meant)
        else:
            takes_next = _takes_next(word[1:], short)
        if takes_next:
            result += [value for value in [next(left, None)] if value is not None]
    return result


def _takes_next(letters: str, short: str) -> bool:
    """Whether the last of some letters after one dash has a value, which is the next word."""
    for place, letter in enumerate(letters):
        if f"{letter}:" in short:
            return place == len(letters) - 1
    return False
