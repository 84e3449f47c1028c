from headgate.v1 import inference_pb2 as _inference_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TopologyWatchRequest(_message.Message):
    __slots__ = ("router_id", "have_version")
    ROUTER_ID_FIELD_NUMBER: _ClassVar[int]
    HAVE_VERSION_FIELD_NUMBER: _ClassVar[int]
    router_id: str
    have_version: int
    def __init__(self, router_id: _Optional[str] = ..., have_version: _Optional[int] = ...) -> None: ...

class TopologySnapshot(_message.Message):
    __slots__ = ("version", "pools", "tenants")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    TENANTS_FIELD_NUMBER: _ClassVar[int]
    version: int
    pools: _containers.RepeatedCompositeFieldContainer[Pool]
    tenants: _containers.RepeatedCompositeFieldContainer[Tenant]
    def __init__(self, version: _Optional[int] = ..., pools: _Optional[_Iterable[_Union[Pool, _Mapping]]] = ..., tenants: _Optional[_Iterable[_Union[Tenant, _Mapping]]] = ...) -> None: ...

class Pool(_message.Message):
    __slots__ = ("name", "tier", "models", "prices", "replicas")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    PRICES_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    name: str
    tier: str
    models: _containers.RepeatedScalarFieldContainer[str]
    prices: _inference_pb2.Prices
    replicas: _containers.RepeatedCompositeFieldContainer[Replica]
    def __init__(self, name: _Optional[str] = ..., tier: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., prices: _Optional[_Union[_inference_pb2.Prices, _Mapping]] = ..., replicas: _Optional[_Iterable[_Union[Replica, _Mapping]]] = ...) -> None: ...

class Replica(_message.Message):
    __slots__ = ("id", "address", "draining")
    ID_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    DRAINING_FIELD_NUMBER: _ClassVar[int]
    id: str
    address: str
    draining: bool
    def __init__(self, id: _Optional[str] = ..., address: _Optional[str] = ..., draining: _Optional[bool] = ...) -> None: ...

class Tenant(_message.Message):
    __slots__ = ("name", "key_sha256", "pools")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEY_SHA256_FIELD_NUMBER: _ClassVar[int]
    POOLS_FIELD_NUMBER: _ClassVar[int]
    name: str
    key_sha256: _containers.RepeatedScalarFieldContainer[bytes]
    pools: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., key_sha256: _Optional[_Iterable[bytes]] = ..., pools: _Optional[_Iterable[str]] = ...) -> None: ...
