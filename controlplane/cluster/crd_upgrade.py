"""Applies the CRDs of this version: `python -m controlplane.cluster.crd_upgrade`.

The chart runs it before `helm upgrade`, since Helm itself never upgrades what is in a chart's crds/.
"""

import argparse
import asyncio
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubernetes.aio import client, config
from kubernetes.aio.client.api_client import ApiClient

from controlplane.errors import ConfigError
from controlplane.resources.crd import custom_resource_definition
from controlplane.resources.definitions import DEFINITIONS

log = logging.getLogger(__name__)

FIELD_MANAGER = "headgate-crd-upgrade"
APPLY = "application/apply-patch+yaml"
ESTABLISHED_WITHIN_S = 60.0
REQUEST_S = 10.0
_POLL_S = 0.2


async def upgrade(kubeconfig: Path | None) -> None:
    """Returns when the API server serves every kind. Raises ConfigError, ApiException, or TimeoutError where it does not."""
    settings = client.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=settings)
        else:
            await config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings, persist_config=False)
    except (config.ConfigException, OSError) as fault:
        raise ConfigError(f"no way to the Kubernetes API: {fault}") from fault
    async with ApiClient(configuration=settings) as transport:
        api = client.ApiextensionsV1Api(transport)
        for definition in DEFINITIONS:
            await _apply(api, custom_resource_definition(definition))


async def _apply(api: Any, wanted: Mapping[str, Any]) -> None:
    """Takes over fields that Helm or kubectl wrote."""
    name = wanted["metadata"]["name"]
    await api.patch_custom_resource_definition(
        name, wanted, field_manager=FIELD_MANAGER, force=True, _content_type=APPLY, _request_timeout=REQUEST_S
    )
    async with asyncio.timeout(ESTABLISHED_WITHIN_S):
        while True:
            if _established(await api.read_custom_resource_definition(name, _request_timeout=REQUEST_S)):
                break
            await asyncio.sleep(_POLL_S)
    log.info("applied %s", name)


def _established(definition: Any) -> bool:
    return any(one.type == "Established" and one.status == "True" for one in definition.status.conditions or ())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m controlplane.cluster.crd_upgrade", description="Applies Headgate's CRDs.")
    parser.add_argument("--kubeconfig", type=Path, help="file; default: the pod's own service account")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(upgrade(arguments.kubeconfig))
    except (ConfigError, client.ApiException, TimeoutError) as fault:
        sys.stderr.write(f"CRDs were not applied: {fault or 'not served in time'}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
