"""`router.request` → headgate.v1 messages. Encoding only."""

from collections.abc import Iterable, Sequence

from headgate.v1 import generation_pb2, inference_pb2
from router.request import (
    BudgetState,
    Decision,
    Event,
    Finished,
    FinishReason,
    ModelCard,
    Offer,
    Piece,
    Quote,
    Started,
    TokenLogprob,
    Used,
)
from router.snapshot import Prices

_REASONS: dict[FinishReason | None, generation_pb2.FinishReason] = {
    None: generation_pb2.FINISH_REASON_UNSPECIFIED,
    "stop": generation_pb2.FINISH_REASON_STOP,
    "length": generation_pb2.FINISH_REASON_LENGTH,
    "abort": generation_pb2.FINISH_REASON_ABORT,
    "tool_calls": generation_pb2.FINISH_REASON_TOOL_CALLS,
}


def encode_event(event: Event) -> inference_pb2.GenerateResponse:
    """One message of an answer."""
    match event:
        case Piece():
            return _delta(event)
        case Started():
            decision = encode_decision(event.decision)
            return inference_pb2.GenerateResponse(started=inference_pb2.Started(request_id=event.request_id, decision=decision))
        case Finished():
            return inference_pb2.GenerateResponse(finished=_finished(event))


def encode_decision(decision: Decision) -> inference_pb2.Decision:
    return inference_pb2.Decision(
        pool=decision.pool,
        model=decision.model,
        replica=decision.replica,
        reason=decision.reason,
        simulated=decision.simulated,
        quality=decision.quality,
        policy=decision.policy,
        exploring=decision.exploring,
    )


def encode_offer(offer: Offer) -> inference_pb2.QuoteResponse:
    return inference_pb2.QuoteResponse(
        options=map(_option, offer.options), budgets=encode_budgets(offer.budgets), refusal=offer.refusal
    )


def encode_budgets(budgets: Iterable[BudgetState]) -> list[inference_pb2.BudgetState]:
    return [
        inference_pb2.BudgetState(
            tenant=budget.tenant,
            limit_usd=budget.limit_usd,
            spent_usd=budget.spent_usd,
            remaining_usd=budget.remaining_usd,
            window=budget.window,
            resets_at_s=budget.resets_at_s,
            hard=budget.hard,
        )
        for budget in budgets
    ]


def encode_models(cards: Sequence[ModelCard]) -> inference_pb2.ListModelsResponse:
    return inference_pb2.ListModelsResponse(
        models=[
            inference_pb2.ListModelsResponse.Model(
                name=card.name,
                pool=card.pool,
                tier=card.tier,
                engine=card.engine,
                simulated=card.simulated,
                ready_replicas=card.ready_replicas,
                prices=_prices(card.prices),
                embeddings=card.embeddings,
            )
            for card in cards
        ]
    )


def _option(quote: Quote) -> inference_pb2.QuoteResponse.Option:
    return inference_pb2.QuoteResponse.Option(
        decision=encode_decision(quote.decision),
        cost_usd=quote.cost_usd,
        prompt_tokens=quote.prompt_tokens,
        cached_tokens=quote.cached_tokens,
        output_tokens=quote.output_tokens,
        max_cost_usd=quote.max_cost_usd,
        uncertainty=quote.uncertainty,
        footprint=_footprint(quote.used),
        utility=quote.utility,
        ttft_s=quote.ttft_s,
    )


def _delta(piece: Piece) -> inference_pb2.GenerateResponse:
    # Filled in place, and only where there is something: this runs once per token.
    message = inference_pb2.GenerateResponse()
    delta = message.delta
    delta.text = piece.text
    delta.token_ids.extend(piece.token_ids)
    if piece.index:
        delta.index = piece.index
    if piece.logprobs:
        delta.logprobs.extend(map(_logprob, piece.logprobs))
    if piece.finish_reason is not None:
        delta.finish_reason = _REASONS[piece.finish_reason]
        delta.stop_reason = piece.stop_reason
    if piece.tool_calls_json:
        delta.tool_calls_json = piece.tool_calls_json.decode()
    return message


def _logprob(entry: TokenLogprob) -> generation_pb2.TokenLogprob:
    return generation_pb2.TokenLogprob(
        token_id=entry.token_id,
        token=entry.token,
        token_bytes=entry.token_bytes,
        logprob=entry.logprob,
        top=[
            generation_pb2.TokenLogprob.Alternative(
                token_id=other.token_id, token=other.token, token_bytes=other.token_bytes, logprob=other.logprob
            )
            for other in entry.top
        ],
    )


def _finished(event: Finished) -> inference_pb2.Finished:
    return inference_pb2.Finished(
        usage=generation_pb2.Usage(
            prompt_tokens=event.usage.prompt_tokens,
            completion_tokens=event.usage.completion_tokens,
            cached_tokens=event.usage.cached_tokens,
        ),
        cost_usd=event.cost_usd,
        decision=encode_decision(event.decision),
        resumed=event.resumed,
        ttft_s=event.ttft_s,
        total_s=event.total_s,
        escalated=event.escalated,
        footprint=_footprint(event.used),
        budgets=encode_budgets(event.budgets),
    )


def _footprint(used: Used | None) -> inference_pb2.Footprint | None:
    if used is None:
        return None
    return inference_pb2.Footprint(energy_wh=used.energy_wh, carbon_g=used.carbon_g, water_ml=used.water_ml)


def _prices(prices: Prices) -> inference_pb2.Prices:
    return inference_pb2.Prices(
        input_usd_per_mtok=prices.input, cached_input_usd_per_mtok=prices.cached_input, output_usd_per_mtok=prices.output
    )
