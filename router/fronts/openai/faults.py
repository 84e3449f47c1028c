"""What can be wrong with a body, under OpenAI's own codes. All are InvalidRequest and name the parameter."""

from router.errors import InvalidRequest


class InvalidType(InvalidRequest):
    code = "invalid_type"


class InvalidValue(InvalidRequest):
    code = "invalid_value"


class MissingParameter(InvalidRequest):
    code = "missing_required_parameter"


class UnknownParameter(InvalidRequest):
    code = "unknown_parameter"


class UnsupportedParameter(InvalidRequest):
    """Known, but Headgate can't do it."""

    code = "unsupported_parameter"


class NotJson(InvalidRequest):
    """The body is of a kind that is not read here."""

    code = "unsupported_media_type"
