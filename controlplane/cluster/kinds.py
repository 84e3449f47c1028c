"""The kinds that this program reads or writes, and where the API server has them."""

from dataclasses import dataclass

from controlplane.names import API, MANAGED_BY, POOL_LABEL
from controlplane.world import Ref


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind. `selector` limits what is listed and watched; `optional` kinds may not be served by this cluster."""

    kind: str
    api: str
    plural: str
    namespaced: bool = True
    selector: str = ""
    optional: bool = False

    @property
    def group(self) -> str:
        return self.api.rpartition("/")[0]

    @property
    def version(self) -> str:
        return self.api.rpartition("/")[2]

    def path(self, namespace: str | None = None, name: str = "", part: str = "") -> str:
        """The URL path below the server; `part` is a subresource."""
        root = f"/apis/{self.api}" if "/" in self.api else f"/api/{self.api}"
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return root + scope + f"/{self.plural}" + (f"/{name}" if name else "") + (f"/{part}" if part else "")


MODEL_POOL = Kind("ModelPool", API, "modelpools")
TENANT = Kind("Tenant", API, "tenants")
ROUTING_POLICY = Kind("RoutingPolicy", API, "routingpolicies")
NODE = Kind("Node", "v1", "nodes", namespaced=False)
POD = Kind("Pod", "v1", "pods", selector="=".join(MANAGED_BY))  # Ray heads are not labelled with the pool
ENDPOINT_SLICE = Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices", selector=POOL_LABEL)
DEPLOYMENT = Kind("Deployment", "apps/v1", "deployments", selector=POOL_LABEL)
SERVICE = Kind("Service", "v1", "services", selector=POOL_LABEL)
DISRUPTION_BUDGET = Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets", selector=POOL_LABEL)
CLAIM = Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims", selector=POOL_LABEL)
REVISION = Kind("ControllerRevision", "apps/v1", "controllerrevisions", selector=POOL_LABEL)
RAY_SERVICE = Kind("RayService", "ray.io/v1", "rayservices", selector=POOL_LABEL, optional=True)
INFERENCE_POOL = Kind("InferencePool", "inference.networking.k8s.io/v1", "inferencepools", selector=POOL_LABEL, optional=True)
SECRET = Kind("Secret", "v1", "secrets")
EVENT = Kind("Event", "v1", "events")
LEASE = Kind("Lease", "coordination.k8s.io/v1", "leases")

# What a ModelPool is made into.
CHILDREN = (DEPLOYMENT, SERVICE, DISRUPTION_BUDGET, CLAIM, REVISION, RAY_SERVICE, INFERENCE_POOL)
WATCHED = (MODEL_POOL, TENANT, ROUTING_POLICY, NODE, POD, ENDPOINT_SLICE, *CHILDREN)
KINDS = {kind.kind: kind for kind in (*WATCHED, SECRET, EVENT, LEASE)}


def ref_of(kind: Kind, namespace: str, name: str) -> Ref:
    return Ref(kind.api, kind.kind, namespace, name)
