"""Reading metrics as a scraper does."""

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scraped(registry: CollectorRegistry) -> Samples:
    """Return all samples, as a scraper parses them."""
    found: Samples = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, "a sample twice"
            found[key] = sample.value
    return found


def at(samples: Samples, name: str, **labels: str) -> float:
    """Return the value of one sample."""
    return samples[f"scheduler_{name}", tuple(sorted(labels.items()))]
