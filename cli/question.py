"""A question as the command line takes it, and the request that it becomes."""

from dataclasses import dataclass

from cli.errors import CommandError
from headgate.v1 import generation_pb2, inference_pb2


@dataclass(frozen=True, slots=True)
class Question:
    text: str
    model: str = "auto"
    max_tokens: int | None = None
    explain: bool = False
    temperature: float | None = None


def to_request(question: Question) -> inference_pb2.GenerateRequest:
    if not question.text.strip():
        raise CommandError("there is no question", todo='write one: headgate ask "…"', exit_code=2)
    message = inference_pb2.ChatMessage(role="user", content=question.text)
    sampling = generation_pb2.Sampling(max_tokens=question.max_tokens, temperature=question.temperature)
    return inference_pb2.GenerateRequest(model=question.model, chat=inference_pb2.Chat(messages=[message]), sampling=sampling)
