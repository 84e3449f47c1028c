"""What can go wrong with the cluster, and whether trying again helps.

ControlPlaneError
├── ConfigError        the settings can't be used; the text names the file and the key
└── ApiError           a call to the API server failed
    ├── Unavailable    no answer, or one that says "later": try again
    ├── Conflict       somebody else changed the object: look again, then try again
    ├── NotFound       it isn't there, or its kind isn't served
    ├── Refused        the server says no, and will say so again
    └── NotLeading     not sent at all: this replica doesn't hold the lease (any more)
"""


class ControlPlaneError(Exception):
    """Root of the tree."""


class ConfigError(ControlPlaneError):
    pass


class ApiError(ControlPlaneError):
    """`text` is for logs and conditions; it holds no credentials."""


class Unavailable(ApiError):
    pass


class Conflict(ApiError):
    pass


class NotFound(ApiError):
    pass


class Refused(ApiError):
    pass


class NotLeading(ApiError):
    pass
