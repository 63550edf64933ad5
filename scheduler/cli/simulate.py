"""``scheduler simulate``: a provider on this machine that enforces real limits."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from scheduler.errors import ConfigurationError
from scheduler.http.origins import is_loopback

if TYPE_CHECKING:
    from scheduler.simulator import World


def simulate(
    tier: Annotated[str | None, typer.Option(help="Enforce what the provider publishes for this tier.")] = None,
    provider: Annotated[str, typer.Option(help="Whose tiers.")] = "openai",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes any free one.", min=0, max=65_535)] = 8080,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    rpm: Annotated[int | None, typer.Option(help="Requests per minute, of all models together.")] = None,
    tpm: Annotated[int | None, typer.Option(help="Tokens per minute, of all models together.")] = None,
    rpd: Annotated[int | None, typer.Option(help="Requests per day, of all models together.")] = None,
    tpd: Annotated[int | None, typer.Option(help="Tokens per day, of all models together.")] = None,
    ipm: Annotated[int | None, typer.Option(help="Images per minute, of all models together.")] = None,
    charge: Annotated[str, typer.Option(help="Charge rule: documented, sum or recorded-2025.")] = "documented",
    latency: Annotated[float, typer.Option(help="Median seconds that an answer takes.")] = 0.5,
    latency_sigma: Annotated[float, typer.Option(help="Sigma of the latency's logarithm.")] = 0.25,
    output_tokens: Annotated[float, typer.Option(help="Median tokens of an answer.")] = 120.0,
    error_rate: Annotated[float, typer.Option(help="Share of requests answered 500.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of all chance.")] = 0,
    expose: Annotated[bool, typer.Option("--expose", help="Allow an address that others can reach.")] = False,
) -> None:
    """Simulate an OpenAI-compatible API that enforces rate limits; no key is needed."""
    given = {"rpm": rpm, "tpm": tpm, "rpd": rpd, "tpd": tpd, "ipm": ipm}
    limits = {name: amount for name, amount in given.items() if amount is not None}
    if tier is not None and limits:
        raise ConfigurationError("a tier and single limits cannot both be given", "--tier", "leave one of them out")
    settings: dict[str, Any] = {
        "charge": charge,
        "latency": latency,
        "latency_sigma": latency_sigma,
        "output": output_tokens,
        "output_sigma": 0.4,
        "faults": {"server_error": error_rate},
        "seed": seed,
    }
    _serve_at(_world(tier, provider, limits, settings), host, port, expose=expose)


def _world(tier: str | None, provider: str, limits: dict[str, int], settings: dict[str, Any]) -> "World":
    from scheduler.simulator import World, world_for_tier  # noqa: PLC0415 -- `scheduler run` starts sooner without

    try:
        if tier is not None:
            return world_for_tier(tier, provider=provider, **settings)
        return World(limits={"*": limits} if limits else {}, **settings)
    except FileNotFoundError:
        raise ConfigurationError(f"{provider!r:.40} publishes no tiers here", "--provider", "try openai") from None
    except (ValueError, KeyError) as error:
        raise ConfigurationError(str(error.args[0]) if error.args else str(error)) from None


def _serve_at(world: "World", host: str, port: int, *, expose: bool) -> None:
    from scheduler.simulator import Simulator, run as serve  # noqa: PLC0415 -- the same

    if not expose and not is_loopback(host):
        mend = "say --expose if they may"
        raise ConfigurationError(f"whoever can reach {host} could use the simulator", "--host", mend)
    try:
        serve(Simulator(world), host, port, expose=expose, ready=_say)
    except OSError as error:
        mend = "name another address, or a free port"
        raise ConfigurationError(f"{host}:{port} cannot be listened on: {error.strerror}", "--port", mend) from None


def _say(url: str) -> None:
    typer.echo(f"simulating at {url}")
