"""Quantities as the API server keeps them. tests/kube/test_manifests.py asks the real one about the same table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.manifests.quantity import canonical

KEPT_AS = {
    "0": "0",
    "0Gi": "0",
    "0.0": "0",
    "1": "1",
    "1000m": "1",
    "1500m": "1500m",
    "0.5": "500m",
    "1.5": "1500m",
    "1.500": "1500m",
    "2.0": "2",
    "0.0001": "1m",
    "0.0015": "2m",
    "0.5m": "1m",
    "16000m": "16",
    "007": "7",
    "999": "999",
    "1000": "1k",
    "1000k": "1M",
    "1024": "1024",
    "2000000": "2M",
    "1.5k": "1500",
    "1.5G": "1500M",
    "64G": "64G",
    "1E": "1E",
    "1000Ki": "1000Ki",
    "1024Ki": "1Mi",
    "1024Mi": "1Gi",
    "1536Mi": "1536Mi",
    "1.5Gi": "1536Mi",
    "0.5Gi": "512Mi",
    "0.5Ki": "512",
    "0.3Gi": "322122547200m",
    "0.0001Ki": "103m",
    "500000Mi": "500000Mi",
    "1048576Mi": "1Ti",
    "1Ei": "1Ei",
}


@pytest.mark.parametrize(("written", "kept"), KEPT_AS.items())
def test_written_otherwise_kept_the_same(written: str, kept: str) -> None:
    assert canonical(written) == kept


@pytest.mark.parametrize("text", ["", "m", "1.", ".5", "-1", "+1", "1e3", "1 Gi", "1K", "1gi", "١"])
def test_no_quantities_of_ours(text: str) -> None:
    with pytest.raises(ValueError, match="not a quantity"):
        canonical(text)


@given(
    st.integers(0, 10**6),
    st.integers(0, 999),
    st.sampled_from(["", "m", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti"]),
)
def test_what_is_canonical_stays(whole: int, parts: int, suffix: str) -> None:
    once = canonical(f"{whole}.{parts:03}{suffix}")
    assert canonical(once) == once
