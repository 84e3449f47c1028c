import dataclasses

from headgate.v1 import worker_pb2
from router.fleet.specs import Report


def test_a_report_has_the_fields_of_the_wire_in_its_order() -> None:
    assert [field.name for field in dataclasses.fields(Report)] == [f.name for f in worker_pb2.WorkerState.DESCRIPTOR.fields]
