"""Is the diagnosis right, and what are its predictions worth? Classes known otherwise, and remedies that were run.

    python -m studies.diagnosis_calibration            prints the tables of docs/diagnosis.md, and each configuration
    python -m studies.diagnosis_calibration --write    puts them there and into docs/diagnosis-cases.md

The class of each run is known from elsewhere, never from the diagnosis:

* closed form: an exact rate or a bound of it, the growth of a linear state, the distribution that the input drives;
* matrix powers: of a linear net, with the eigenvalues of its weights;
* plain loop: of a net whose units, and whose samples, go each by itself, step by step as it is constructed;
* law at rest: the spectral radius of the Jacobian at rest, written out for each cell;
* long run: the leading exponent of two copies of the net that start 1e-7 apart, over 1500 forward steps of other noise
  (Benettin et al. 1980), with its error; whether the state stays bounded, and how many units are saturated at its end;
* count: a plain loop over 3000 steps of other noise that counts the units that never switch on.

A rate r (ln of the factor per step) makes a run of T steps vanish where (T - 1) r < -ln 100, explode above ln 100; what
explodes is chaotic where the exponent is above 0 and the state bounded, transient growth where it is below 0. Runs have
(T - 1) r at least 2 away from both borders, and any rate within three of its errors tells the same; others are refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from studies.calibration.tables import assess_all, listing, tables

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"
HEAD = """# The configurations of diagnosis.md

`python -m studies.diagnosis_calibration --write` makes this list.
"""


def main() -> None:
    """Print the tables, or write them into the documents."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/")
    write, rows = parser.parse_args().write, assess_all(remedies=True)
    found, every = "\n".join(tables(rows)), "\n".join(listing(rows))
    if not write:
        print(found, every, sep="\n\n")
        return
    document = DOCS / "diagnosis.md"
    before, _, rest = document.read_text("utf-8").partition(BEGIN)
    document.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{rest.partition(END)[2]}", "utf-8")
    (DOCS / "diagnosis-cases.md").write_text(f"{HEAD}\n{every}\n", "utf-8")


if __name__ == "__main__":
    main()
