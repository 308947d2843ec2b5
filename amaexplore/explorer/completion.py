"""How a selection that is being typed may go on; without a single widget."""

from functools import lru_cache

__all__ = ["Vocabulary", "completions", "vocabulary_of"]

MOST = 40
MOST_NAMES = 400
ATOMS = ("protein", "water", "backbone", "sidechain", "all")
ASKED = ("resname", "name", "element", "index", "resid", "residue", "chainid", "mass")
JOINTS = ("and", "or", "and not")


class Vocabulary:
    """The words that mean something for one topology.

    Parameters
    ----------
    values : dict
        Keyword -> the values that occur, each once.
    """

    def __init__(self, values):
        self.values = values

    def after(self, keyword):
        """Values that may follow a keyword."""
        return self.values.get(keyword, ())


@lru_cache(maxsize=8)
def vocabulary_of(topology):
    """The `Vocabulary` of an mdtraj topology."""

    def once(items):
        return tuple(dict.fromkeys(items))[:MOST_NAMES]

    return Vocabulary(
        {
            "resname": once(residue.name for residue in topology.residues),
            "name": once(atom.name for atom in topology.atoms),
            "element": once(atom.element.symbol for atom in topology.atoms if atom.element is not None),
            "resid": tuple(str(index) for index in range(min(topology.n_residues, MOST_NAMES))),
            "chainid": tuple(str(index) for index in range(min(topology.n_chains, MOST_NAMES))),
        }
    )


def completions(text, vocabulary):
    """Texts that begin with what is typed and go on in a way that makes sense.

    Parameters
    ----------
    text : str
    vocabulary : Vocabulary

    Examples
    --------
    >>> words = Vocabulary({"resname": ("ALA", "GLY"), "name": ("CA",)})
    >>> completions("protein and resname A", words)
    ['protein and resname ALA']
    >>> completions("resname GLY o", words)
    ['resname GLY or']
    """
    stem, _, last = text.rpartition(" ")
    stem = f"{stem} " if stem else ""
    before = stem.replace("(", " ").replace(")", " ").split()
    opened = last[: len(last) - len(last.lstrip("("))]
    word = last.removeprefix(opened)
    return [f"{stem}{opened}{found}" for found in _next_words(before, vocabulary) if _goes_on(word, found)][:MOST]


def _goes_on(word, found):
    return found.lower().startswith(word.lower()) and found != word


def _next_words(before, vocabulary):
    last = before[-1] if before else ""
    if last in ASKED:
        return vocabulary.after(last)
    if not before or last in ("and", "or", "not"):
        return ATOMS + ASKED + ("not",)
    return JOINTS
