"""The one error the command line raises on purpose: what is wrong, and what to do next. Never shown with a traceback."""


class CommandError(Exception):
    """`message` says what is wrong; `todo` what the user can do about it; `exit_code` is 2 for bad input, 1 for the rest."""

    def __init__(self, message: str, *, todo: str = "", exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.todo = todo
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\n  {self.todo}" if self.todo else self.message
