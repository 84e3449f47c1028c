"""What a replica runs on, what that costs, and where its weights lie: parts of a ModelPool."""

import re
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from controlplane.resources.kube_model import ChangeRule, KubeModel, Rule
from controlplane.resources.scalars import ImageName, LabelMap, LabelValue, ObjectName, Quantity, Size

_LABEL_KEY = r"([a-z0-9][-a-z0-9.]{0,251}[a-z0-9]?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"


class Parallelism(KubeModel):
    """How one replica spreads over GPUs: it takes tensor × pipeline of them."""

    tensor: int = Field(default=1, ge=1, le=64, description="GPUs that share each layer.")
    pipeline: int = Field(default=1, ge=1, le=64, description="Groups of layers, each on GPUs of its own.")
    expert: bool = Field(default=False, description="Expert parallelism of an MoE model over the tensor ranks.")


class Toleration(KubeModel):
    """A Kubernetes toleration: a taint that the pods may be put beside."""

    key: str | None = Field(
        default=None,
        min_length=1,
        max_length=316,
        pattern=f"^{_LABEL_KEY}$",
        description="The taint's key; none, with Exists: all.",
    )
    operator: Literal["Exists", "Equal"] = Field(default="Equal", description="Exists: whatever the taint's value.")
    value: LabelValue | None = Field(default=None, description="The taint's value, with Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="The taint's effect; none: every one."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.key) || self.operator == 'Exists'",
            "operator must be Exists where key is absent",
            lambda t: t.key is not None or t.operator == "Exists",
            "operator",
        ),
        Rule(
            "!has(self.value) || self.operator == 'Equal'",
            "value belongs to operator Equal",
            lambda t: t.value is None or t.operator == "Equal",
            "value",
        ),
    )


class Hardware(KubeModel):
    """What one replica (with RayService: one node of it) asks for."""

    gpus: int = Field(
        default=0,
        ge=0,
        le=64,
        description="GPUs per pod. With a Deployment 0 means tensor times pipeline, where that is more than 1.",
    )
    gpu_resource: Annotated[str, Field(max_length=253, pattern=r"^[a-z0-9.-]+/[A-Za-z0-9._-]+$")] = Field(
        default="nvidia.com/gpu", description="Resource name of the GPUs."
    )
    cpu: Quantity = Field(default="1", description="CPU cores asked for; not a limit.")
    memory: Quantity = Field(default="2Gi", description="Memory asked for, and its limit.")
    shared_memory: Size | None = Field(default=None, description="Size of /dev/shm, for tensor parallelism.")
    node_selector: LabelMap = Field(default={}, max_length=32, description="Labels that a node must have.")
    tolerations: list[Toleration] = Field(default=[], max_length=32, description="Taints that a node may have.")
    spread: Literal["none", "hosts", "zones"] = Field(
        default="hosts", description="Over what replicas are spread, as far as possible."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            f"!has(self.nodeSelector) || self.nodeSelector.all(k, k.matches('^{_LABEL_KEY}$'))",
            "every key must be a label's: an optional DNS prefix and /, then at most 63 of A-Z, a-z, 0-9, -, _ and .",
            lambda h: all(re.fullmatch(_LABEL_KEY, key) for key in h.node_selector),
            "nodeSelector",
        ),
    )


class Hosting(KubeModel):
    """What one replica takes to run, all its GPUs and nodes included. Prices that are given win over those that follow."""

    usd_per_hour: float = Field(
        default=0.0, ge=0, le=1e5, allow_inf_nan=False, description="USD; over the throughput, the price of tokens."
    )
    tokens_per_second: float | None = Field(
        default=None,
        gt=0,
        le=1e6,
        allow_inf_nan=False,
        description="Output tokens per second at the load it is meant for. Default: the most that routers have measured.",
    )
    power_watts: float = Field(
        default=0.0, ge=0, le=1e6, allow_inf_nan=False, description="Of the machines under load, W; 0: no footprint is told."
    )
    pue: float = Field(
        default=1.0, ge=1, le=10, allow_inf_nan=False, description="Power usage effectiveness of the site: drawn per used."
    )
    carbon_g_per_kwh: float = Field(
        default=0.0, ge=0, le=1e5, allow_inf_nan=False, description="Carbon of the electricity, g CO2e per kWh drawn."
    )
    water_site_l_per_kwh: float = Field(
        default=0.0, ge=0, le=1000, allow_inf_nan=False, description="Litres evaporated at the site per kWh of the machines."
    )
    water_source_l_per_kwh: float = Field(
        default=0.0, ge=0, le=1000, allow_inf_nan=False, description="Litres evaporated at the power plants per kWh drawn."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.usdPerHour > 0.0 || self.powerWatts > 0.0",
            "give usdPerHour, powerWatts, or both",
            lambda h: h.usd_per_hour > 0 or h.power_watts > 0,
        ),
        Rule(
            "self.powerWatts > 0.0 || (self.carbonGPerKwh == 0.0 && self.waterSiteLPerKwh == 0.0 "
            "&& self.waterSourceLPerKwh == 0.0)",
            "carbon and water need powerWatts",
            lambda h: h.power_watts > 0 or not (h.carbon_g_per_kwh or h.water_site_l_per_kwh or h.water_source_l_per_kwh),
            "powerWatts",
        ),
    )


class ModelCache(KubeModel):
    """Where weights are kept between starts: a claim shared by the replicas, or an OCI image mounted read-only."""

    claim_size: Size | None = Field(default=None, description="A PersistentVolumeClaim of this size is made and mounted.")
    storage_class: ObjectName | None = Field(default=None, description="Its StorageClass. Default: the cluster's.")
    access_mode: Literal["ReadWriteMany", "ReadWriteOnce", "ReadOnlyMany"] = Field(
        default="ReadWriteMany", description="Its access mode. ReadWriteOnce keeps all replicas on one node."
    )
    existing_claim: ObjectName | None = Field(default=None, description="A PersistentVolumeClaim that is there already.")
    image: ImageName | None = Field(default=None, description="OCI image with the weights (image volume).")
    mount_path: Annotated[str, Field(max_length=512, pattern=r"^/[^\s\p{Z}\p{Cc}:]*$")] = Field(
        default="/models", description="Where it is mounted."
    )
    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "[has(self.claimSize), has(self.existingClaim), has(self.image)].filter(x, x).size() == 1",
            "give exactly one of claimSize, existingClaim and image",
            lambda c: sum(x is not None for x in (c.claim_size, c.existing_claim, c.image)) == 1,
        ),
        Rule(
            "!has(self.storageClass) || has(self.claimSize)",
            "storageClass belongs to claimSize",
            lambda c: c.storage_class is None or c.claim_size is not None,
            "storageClass",
        ),
        Rule(
            "!(self.mountPath in ['/tmp', '/cache', '/dev/shm', '/etc/headgate/tls'])",
            "the worker has a folder of its own there",
            lambda c: c.mount_path not in ("/tmp", "/cache", "/dev/shm", "/etc/headgate/tls"),  # noqa: S108 - names, not files
            "mountPath",
        ),
    )
    # A PersistentVolumeClaim takes no other change.
    change_rules: ClassVar[tuple[ChangeRule, ...]] = (
        ChangeRule(
            "!has(self.claimSize) || !has(oldSelf.claimSize) "
            "|| quantity(self.claimSize).compareTo(quantity(oldSelf.claimSize)) >= 0",
            "a claim can grow, not shrink",
            "claimSize",
        ),
        ChangeRule(
            "!has(self.claimSize) || !has(oldSelf.claimSize) || self.accessMode == oldSelf.accessMode",
            "a claim's access mode can't be changed",
            "accessMode",
        ),
        ChangeRule(
            "!has(self.claimSize) || !has(oldSelf.claimSize) || (has(self.storageClass) ? self.storageClass : '') "
            "== (has(oldSelf.storageClass) ? oldSelf.storageClass : '')",
            "a claim's storage class can't be changed",
            "storageClass",
        ),
    )
