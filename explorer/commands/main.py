"""The command line: `python -m explorer COMMAND`.

With `--json` a command prints its result as one JSON object on standard output; progress goes to
the error stream. Exit status: 0 success, 2 bad input (one line says what to do), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from typing import Any

from explorer.commands.attack import add_attack_command
from explorer.commands.bench import add_bench_command
from explorer.commands.build import add_bundle_commands
from explorer.commands.bundles import add_moving_commands
from explorer.commands.evidence import add_evidence_command
from explorer.commands.options import Fill, Parser, Result, Run
from explorer.commands.picture import add_image_commands
from explorer.commands.serve import add_serve_command
from explorer.errors import ExplorerError, os_sentence


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    for stream in (sys.stdout, sys.stderr):  # names of files may hold what no encoding has
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        if arguments[:1] == ["demo"]:
            from explorer.commands.demo import main as demo

            return demo(arguments[1:])
        options = _parser().parse_args(arguments)
        result = options.run(options)
    except ExplorerError as error:
        return _refused(str(error))
    except OSError as error:
        return _refused(os_sentence(error))
    except KeyboardInterrupt as stop:
        print(str(stop) or "stopped", file=sys.stderr)
        return 130
    print(json.dumps(result, ensure_ascii=False) if options.json else as_text(result))
    return 0


def _refused(sentence: str) -> int:
    print(f"error: {sentence}", file=sys.stderr)
    return 2


def as_text(result: Result, indent: str = "") -> str:
    """Return a result as lines a person reads; lists within rows are left to `--json`."""
    lines = []
    for key, value in result.items():
        if isinstance(value, dict) and value:
            lines += [f"{indent}{key}:", as_text(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{indent}{key}:", *_rows(value, indent + "  ")]
        else:
            lines.append(f"{indent}{key}: {_plain(value)}")
    return "\n".join(lines)


def _rows(rows: list[Result], indent: str) -> list[str]:
    """Return rows as a table with headings; where they have parts of their own, as blocks."""
    if any(isinstance(value, dict) for row in rows for value in row.values()):
        return [f"{indent}- {as_text(row, indent + '  ').lstrip()}" for row in rows]
    names = dict.fromkeys(name for row in rows for name in row)
    shown = [name for name in names if not any(_is_nested(row.get(name)) for row in rows)]
    cells = [shown, *([_plain(row.get(name)) for name in shown] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [indent + "  ".join(map(str.ljust, line, widths)).rstrip() for line in cells]


def _is_nested(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(part, dict | list) for part in value)


def _plain(value: Any) -> str:
    if value in (None, [], {}):
        return "–"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m explorer", description=__doc__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def add(name: str, run: Run, about: str, fill: Fill | None = None) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.set_defaults(run=run)
        command.fill = fill
        return command

    add_bundle_commands(add)
    add_moving_commands(add)
    add_image_commands(add)
    add_attack_command(add)
    add_evidence_command(add)
    add_bench_command(add)
    add_serve_command(add)
    commands.add_parser("demo", help="rebuild the shipped pictures, model and bundle")
    return parser
