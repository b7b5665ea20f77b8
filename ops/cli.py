"""The command line: each command is a module of ops/commands, found by its file's name."""

from importlib import import_module
from pathlib import Path
from typing import Final

import click

from engine.platform.acting import act_as_command
from engine.platform.logs import configure_logs
from engine.platform.settings import SettingsError
from ops.child import StackError
from ops.running import NotRunningError

_COMMANDS: Final = Path(__file__).parent / "commands"
_EXPECTED: Final = (StackError, NotRunningError, SettingsError)


class CommandsByFile(click.Group):
    """Loads a command when it is called, so that none waits for the imports of another.

    The module `ops/commands/<name>.py` offers a click command named `command`; an underscore in its
    name is a hyphen in the command's. Its help's first sentence is shown in the list.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 -- click's interface
        """Return the names for the help."""
        return sorted(
            path.stem.removesuffix("_").replace("_", "-")
            for path in _COMMANDS.glob("*.py")
            if path.stem[0] != "_"
        )

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in self.list_commands(ctx):
            return None
        # `import.py` could not be imported by a plain statement: such a file may be `import_.py`.
        name = cmd_name.replace("-", "_")
        stem = name if (_COMMANDS / f"{name}.py").exists() else f"{name}_"
        command: click.Command = import_module(f"ops.commands.{stem}").command
        command.help = _keep_examples(command.help)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what a user can mend is said in a sentence, without a traceback."""
        try:
            return super().invoke(ctx)
        except _EXPECTED as error:
            raise click.ClickException(str(error)) from error


def _keep_examples(help_text: str | None) -> str | None:
    r"""Return a help in which click leaves the paragraphs after a `\b` as they are.

    It wants the control character, which a raw docstring has as two.
    """
    return None if help_text is None else help_text.replace("\\b\n", "\b\n")


@click.group(cls=CommandsByFile, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    r"""Onsale, a ticket inventory engine.

    \b
    Examples:
      ./onsale up            run the platform on this machine
      ./onsale test -k hold  run some of the tests
      ./onsale doctor        say what is wrong and how to mend it
    """
    # To standard error, so that what a command prints stays its own.
    configure_logs("warning")
    act_as_command()


main.help = _keep_examples(main.help)
