"""Labels, annotations and names that plans, manifests and the feed agree on."""

GROUP = "headgate.dev"
VERSION = "v1alpha1"
API = f"{GROUP}/{VERSION}"
FIELD_MANAGER = "headgate-controlplane"

POOL_LABEL = f"{GROUP}/pool"  # on everything made for a pool, and on its pods and EndpointSlices
RAY_HEAD_LABEL = f"{GROUP}/ray-head"  # on head pods of a RayService pool, in place of POOL_LABEL: they answer no requests
REVISION_LABEL = f"{GROUP}/revision"  # on pods, and as annotation on the workload
RETRY_ANNOTATION = f"{GROUP}/retry"  # on a ModelPool; a new value lets a revision that failed be tried again
MANAGED_BY = ("app.kubernetes.io/managed-by", "headgate")
WORKER_PORT_NAME = "worker"  # the port's name in Service and EndpointSlice
