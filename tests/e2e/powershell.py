"""Translates a PowerShell script to bash: as much of the language as examples/tutorial.ps1 uses.

PowerShell itself is not available where the tests run. A grammar says whether the text is PowerShell, and each line has
one of the forms below, whose meaning in 5.1 and in 7 is the same and known; what a line passes to curl.exe has nothing
that 5.1 passes on differently from 7 (inner quotes, a backslash before a quote), or that either reads differently from
bash.
"""

import re
from typing import Final

import tree_sitter_powershell
from tree_sitter import Language, Parser

_PARSER: Final = Parser(Language(tree_sitter_powershell.language()))

# Names of variables may contain "?" and ":" in PowerShell: neither may follow one in a string.
_EXPANDED: Final = r'"(?:[^"`\\$]|\$(?:env:)?[A-Za-z_]+(?![\w?:]))*"'
_ARGUMENT: Final = rf"(?:--?[A-Za-z-]+|[A-Z]+|'[^'\"`\\]*'|{_EXPANDED})"
_CURL: Final = rf"curl\.exe((?: {_ARGUMENT})+)"
_LITERAL: Final = r"'[^'`]*'"

_FORMS: Final = {
    r"(?:#.*)?": "",
    r"param\(\[Parameter\(Mandatory\)\]\[string\]\$(\w+)\)": r"\1=$1",
    rf"\$(\w+) = if \(\$env:(\w+)\) {{ \$env:\2 }} else {{ ({_LITERAL}) }}": r"\1=${\2:-}; \1=${\1:-\3}",
    rf"\$(\w+) = ({_LITERAL}|{_EXPANDED})": r"\1=\2",
    rf"\$(\w+) = {_CURL}": r"\1=$(curl\2)",
    _CURL: r"curl\1",
    r"New-Item -ItemType Directory -Force -Path \$(\w+) \| Out-Null": r'mkdir -p "$\1"',
    rf"Set-Content -Encoding ascii -Path ({_EXPANDED}) -Value ({_LITERAL}(?:, {_LITERAL})*)": r"lines \2 >\1",
    rf"Add-Content -Encoding ascii -Path ({_EXPANDED}) -Value ({_LITERAL}|{_EXPANDED})": r"lines \2 >>\1",
    r"if \(\$env:(\w+)\) {": r'if [ -n "${\1:-}" ]; then',
    rf"if \(\$(\w+) -ne ({_LITERAL})\) {{": r'if [ "$\1" != \2 ]; then',
    r"}": "fi",
    rf"throw ({_EXPANDED})": r"echo \1 >&2; exit 1",
    rf"Remove-Item -Path ({_EXPANDED})": r"rm \1",
    rf"Write-Output ({_EXPANDED})": r"echo \1",
}


def to_bash(script: str) -> str:
    """The script for bash. Raises ValueError for what is not PowerShell, or has a line of an unknown form."""
    if not script.isascii():
        raise ValueError("PowerShell 5.1 reads a file without a byte order mark in the machine's code page.")
    if _PARSER.parse(script.encode()).root_node.has_error:
        raise ValueError("The grammar finds an error in the script.")
    lines = [_translated(line.strip()) for line in script.splitlines()]
    # As PowerShell does, it goes on after a program that failed.
    return "\n".join(["set -u", r"""lines() { printf '%s\n' "${@%,}"; }""", *lines, ""])


def _translated(line: str) -> str:
    for form, translation in _FORMS.items():
        if match := re.fullmatch(form, line):
            return re.sub(r"\$env:(\w+)", r"${\1}", match.expand(translation))
    raise ValueError(f"No known form of a line: {line}")
