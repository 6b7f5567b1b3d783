"""Every condition has its light, air and rain, drawn anew for each drive."""

from __future__ import annotations

import numpy as np
import pytest

from any2seg_ros.simulation.weather import CONDITIONS, clarity, make_weather, mixed, sky_light


def draws(condition: str, count: int = 5) -> list:
    return [make_weather(condition, np.random.SeedSequence(seed)) for seed in range(count)]


def test_conditions_have_what_they_are_named_for() -> None:
    for condition in CONDITIONS:
        for weather in draws(condition):
            assert weather.night == (condition == "night")
            assert (weather.rain > 0) == (condition == "rain")
            assert weather.shadows == (condition == "sun")
            assert (weather.fog > 0.02) == (condition == "fog")


def test_a_seed_means_one_weather_and_another_seed_another() -> None:
    first, again = (make_weather("fog", np.random.SeedSequence(4)) for _ in range(2))
    assert first.sky == again.sky and np.array_equal(first.clouds, again.clouds)
    assert len({weather.fog for weather in draws("fog")}) == 5


def test_an_unknown_condition_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown condition 'snow': use some of cloud, fog"):
        make_weather("snow", np.random.SeedSequence(0))


def test_fog_takes_light_away_exponentially() -> None:
    sky = draws("fog")[0].sky
    assert clarity(sky, 0.0) == pytest.approx(1.0)
    assert clarity(sky, 1 / sky.fog) == pytest.approx(np.exp(-1), rel=1e-5)


def test_the_night_sky_is_darker_than_any_by_day() -> None:
    up = (0.0, 0.0, 1.0)
    night = max(max(sky_light(w.sky, w.clouds, up)) for w in draws("night"))
    day = min(max(sky_light(w.sky, w.clouds, up)) for c in ("sun", "cloud") for w in draws(c))
    assert 10 * night < day


def test_mixed_goes_from_one_triple_to_the_other() -> None:
    assert mixed((0.0, 1.0, 2.0), (1.0, 1.0, 0.0), 0.25) == (0.25, 1.0, 1.5)
