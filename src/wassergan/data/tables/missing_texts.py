"""Texts that stand for a missing value in files."""

MISSING_TEXTS = ("", "?", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None", "<NA>", "NaT")
# So are these where all else is numbers or dates.
MISSING_MARKS = (
    *(
        "-",
        "--",
        "---",
        "\N{EN DASH}",
        "\N{EM DASH}",
        ".",
        "..",
        "...",
        "na",
        "n.a.",
        "N.A.",
        "n/a.",
        "none",
        "NONE",
        "nil",
    ),
    *("Null", "nat", "NAT", "#N/A", "#NA", "#N/A N/A", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?"),
    *("-NaN", "-nan", "+nan", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "missing", "Missing", "unknown", "Unknown"),
    *("#NV", "#WERT!", "#BEZUG!", "#ZAHL!", "#N/D", "#VALOR!", "#VALEUR!", "#NOMBRE!", "#NUM!", "#SPILL!", "#CALC!"),
    *(f".{letter}" for letter in "abcdefghijklmnopqrstuvwxyz_"),  # of Stata and SAS
    *(f".{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
)
