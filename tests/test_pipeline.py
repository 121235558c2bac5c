"""Bitwise diffusers without a modulator, bitwise itself whoever else runs, and steered with a modulator."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcm_core import Base, Conditions, InputError, MCMPipeline, Modulator, Request, Result
from mcm_core.base.schedulers import SCHEDULERS
from mcm_core.control import NotFiniteError
from mcm_core.modulation import PLACEMENTS
from mcm_core.modulator import ModulatorOutput
from tests import tiny

STEPS = 3


def ask(**fields: Any) -> Request:
    return Request(**({"prompt": "a lake", "steps": STEPS, "seeds": (7,)} | fields))


def constant(base: Base, gamma: float = 1.0, nu: float = 0.0, **config: Any) -> Modulator:
    """A modulator whose gamma and nu are the same everywhere, whatever is drawn."""
    modulator = tiny.build_modulator(base, trained=False, **config)

    def same(_module: object, _inputs: object, said: ModulatorOutput) -> ModulatorOutput:
        return ModulatorOutput(torch.full_like(said.gamma, gamma), torch.full_like(said.nu, nu))

    modulator.register_forward_hook(same)
    return modulator


@pytest.fixture(scope="module", params=["sd_folder", "sd_v_folder"])
def twins(request: pytest.FixtureRequest) -> tuple[Base, Any]:
    """Stable Diffusion with epsilon, then with v prediction: our base, and diffusers' own pipeline."""
    folder = request.getfixturevalue(request.param)
    theirs = tiny.in_one_layout(diffusers.StableDiffusionPipeline.from_pretrained(folder))
    theirs.set_progress_bar_config(disable=True)
    return Base.from_pretrained(folder), theirs


@pytest.fixture(scope="module")
def plain(base: Base) -> Result:
    return MCMPipeline(base)(ask())


# -- the plain base is diffusers' own pipeline -------------------------------------------------------------


@pytest.mark.parametrize("guidance_scale", [1.0, 7.5])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_a_plain_picture_is_bitwise_that_of_diffusers(
    twins: tuple[Base, Any], scheduler: str, guidance_scale: float
) -> None:
    base, theirs = twins
    if scheduler not in base.scheduler_names:
        pytest.skip(f"{scheduler} is refused for {base.prediction_type}")
    options = {"skip_prk_steps": True} if scheduler == "pndm" else {}
    theirs.scheduler = SCHEDULERS[scheduler].from_config(base.scheduler.config, **options)
    for negative, steps in (("", 1), ("fog", 4)):
        expected = theirs(
            "a lake",
            negative_prompt=negative,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            generator=torch.Generator().manual_seed(7),
        ).images[0]
        request = ask(
            negative_prompt=negative, steps=steps, scheduler=scheduler, guidance_scale=guidance_scale
        )
        assert np.array_equal(MCMPipeline(base)(request).images[0], np.asarray(expected))


def test_other_sizes_are_bitwise_those_of_diffusers(base: Base, sd_folder: Path) -> None:
    theirs = tiny.in_one_layout(diffusers.StableDiffusionPipeline.from_pretrained(sd_folder))
    expected = theirs(
        "a lake", height=72, width=104, num_inference_steps=2, generator=torch.Generator().manual_seed(7)
    ).images[0]
    images = MCMPipeline(base)(ask(height=72, width=104, steps=2)).images
    assert np.array_equal(images[0], np.asarray(expected))


# -- switched off, it is the plain base --------------------------------------------------------------------


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize(
    "off",
    [
        {"strength": {"labels": 0.0, "sketch": 0.0}},
        {"conditions": Conditions()},
        {"start": 0.5, "end": 0.5},
        {"start": 1.0},
        {"end": 0.0},
    ],
)
def test_switched_off_it_is_bitwise_the_plain_base(
    base: Base, modulator: Modulator, plain: Result, off: dict[str, Any], placement: Any
) -> None:
    request = ask(**{"conditions": tiny.drawing(), **off}, placement=placement)
    switched_off = MCMPipeline(base, modulator)(request)
    assert np.array_equal(switched_off.images, plain.images)
    assert not switched_off.actions.any()


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize(
    ("prediction", "scheduler"), [("epsilon", "euler"), ("v_prediction", "unipc"), ("sample", "heun")]
)
def test_an_untrained_modulator_is_bitwise_the_plain_base(
    tmp_path: Path, prediction: str, placement: Any, scheduler: str
) -> None:
    base = Base.from_pretrained(tiny.build_stable_diffusion(tmp_path, prediction))
    untrained = tiny.build_modulator(base, trained=False)
    request = ask(conditions=tiny.drawing(), placement=placement, scheduler=scheduler, compare=True)
    result = MCMPipeline(base, untrained)(request)
    assert np.array_equal(result.images, result.plain_images)
    assert np.array_equal(result.images, MCMPipeline(base)(ask(scheduler=scheduler)).images)


# -- the same seed gives the same bytes --------------------------------------------------------------------


@pytest.mark.parametrize("scheduler", ["ddim", "pndm", "euler-a"])
def test_a_batch_equals_its_singles_and_a_comparison_equals_both_of_its_sides(
    base: Base, modulator: Modulator, scheduler: str
) -> None:
    pipeline, seeds = MCMPipeline(base, modulator), (3, 2**32 - 1)
    drawn = {"conditions": tiny.drawing(), "scheduler": scheduler}
    together = pipeline(ask(seeds=seeds, compare=True, **drawn))
    for row, seed in enumerate(seeds):
        alone = pipeline(ask(seeds=(seed,), **drawn))
        plain = MCMPipeline(base)(ask(seeds=(seed,), scheduler=scheduler))
        assert np.array_equal(together.images[row], alone.images[0])
        assert np.array_equal(together.plain_images[row], plain.images[0])
        assert np.array_equal(together.actions[:, row], alone.actions[:, 0])
    assert not np.array_equal(together.images[0], together.images[1])


@pytest.mark.parametrize("scheduler", ["dpmsolver++", "pndm", "euler-a"])
def test_racing_and_interleaved_requests_do_not_touch_each_other(
    base: Base, modulator: Modulator, scheduler: str
) -> None:
    pipeline = MCMPipeline(base, modulator)
    requests = [
        ask(seeds=(seed,), prompt="a lake" * seed, conditions=tiny.drawing(), scheduler=scheduler)
        for seed in range(3)
    ]
    alone = [pipeline(request).images for request in requests]
    interleaved = list(zip(*(pipeline.stream(request) for request in requests), strict=True))[-1]
    with ThreadPoolExecutor(2) as pool:
        raced = [result.images for result in pool.map(pipeline, requests)]
    again = [pipeline(request).images for request in reversed(requests)][::-1]
    for row, expected in enumerate(alone):
        assert np.array_equal(interleaved[row].result.images, expected)
        assert np.array_equal(raced[row], expected)
        assert np.array_equal(again[row], expected)


def test_a_resolved_request_makes_the_same_picture(base: Base, modulator: Modulator) -> None:
    pipeline = MCMPipeline(base, modulator)
    first = pipeline(ask(seeds=(-1,), conditions=tiny.drawing()))
    assert np.array_equal(pipeline(first.request).images, first.images)


# -- steps -------------------------------------------------------------------------------------------------


def test_the_stream_shows_each_step_and_ends_with_the_result(base: Base, modulator: Modulator) -> None:
    request = ask(conditions=tiny.drawing(), seeds=(1, 2), compare=True)
    steps = list(MCMPipeline(base, modulator).stream(request))
    assert [(step.index, step.total) for step in steps] == [(index, STEPS) for index in range(STEPS)]
    assert [step.timestep for step in steps] == sorted((step.timestep for step in steps), reverse=True)
    for step in steps:
        assert step.preview.shape == (2, 8, 8, 3)
        assert step.preview.dtype == np.uint8
        for action in (step.gamma_action, step.nu_action):
            assert action.shape == (2, 8, 8)
            assert action.dtype == np.float32
            assert (action > 0).all()
    assert [step.result is None for step in steps] == [True] * (STEPS - 1) + [False]
    result = steps[-1].result
    assert result.images.shape == result.plain_images.shape == (2, 64, 64, 3)
    assert result.images.dtype == np.uint8
    assert result.seconds > 0
    assert np.array_equal(result.gamma_actions, np.stack([step.gamma_action for step in steps]))
    assert not np.array_equal(result.images, result.plain_images)


@pytest.mark.parametrize(("scheduler", "calls"), [("heun", 5), ("kdpm2", 5), ("pndm", 4), ("ddim", 3)])
def test_each_call_of_the_base_is_a_step(base: Base, scheduler: str, calls: int) -> None:
    steps = list(MCMPipeline(base).stream(ask(scheduler=scheduler)))
    assert len(steps) == steps[0].total == calls


def test_a_preview_is_that_of_the_clean_estimate(base: Base) -> None:
    """After the last step of DDIM, to an alpha of nearly 1, the latents are nearly the estimate."""
    seen: list[torch.Tensor] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "preview", lambda latents: seen.append(latents) or latents[:, :3])
        patch.setattr(base, "decode", lambda latents: seen.append(latents) or latents[:, :3])
        list(MCMPipeline(base).stream(ask(guidance_scale=1.0)))
    estimate, finished = seen[-2:]
    assert torch.nn.functional.cosine_similarity(estimate, finished, dim=1).mean() > 0.99


def test_previews_can_be_left_out(base: Base) -> None:
    assert next(MCMPipeline(base).stream(ask(previews=False))).preview is None


def test_without_a_comparison_there_is_no_plain_side(base: Base, modulator: Modulator) -> None:
    assert MCMPipeline(base, modulator)(ask(conditions=tiny.drawing())).plain_images is None


def test_a_comparison_of_nothing_shows_the_same_twice(base: Base, modulator: Modulator) -> None:
    result = MCMPipeline(base, modulator)(ask(compare=True))
    assert np.array_equal(result.images, result.plain_images)


@pytest.mark.parametrize("calls", [0, 1, 5])
def test_it_stops_when_asked_before_the_next_call(base: Base, calls: int) -> None:
    answers: Iterator[bool] = iter([False] * calls + [True])
    pictures = 2
    steps = list(MCMPipeline(base).stream(ask(seeds=(1, 2)), should_stop=lambda: next(answers)))
    assert len(steps) == calls // pictures
    assert all(step.result is None for step in steps)


def test_steps_and_results_can_be_sent_elsewhere(base: Base, modulator: Modulator) -> None:
    *_, step = MCMPipeline(base, modulator).stream(ask(conditions=tiny.drawing()))
    copy: Result = pickle.loads(pickle.dumps(step)).result
    assert np.array_equal(copy.images, step.result.images)
    assert copy.request == step.result.request


# -- what the modulation does ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("placement", "factor"), [("both", 1.0), ("conditional", 7.5), ("guided", 1.0)], ids=PLACEMENTS
)
def test_guidance_keeps_or_multiplies_a_shift(base: Base, placement: Any, factor: float) -> None:
    """nu = c shifts the guided noise by c, or by guidance_scale * c where only the prompt's branch has it."""
    shift = 0.125
    request = ask(conditions=tiny.drawing(), guidance_scale=7.5, placement=placement, steps=1)
    pipeline = MCMPipeline(base, constant(base, nu=shift))
    steered, plain = outputs(pipeline, request), outputs(MCMPipeline(base), ask(guidance_scale=7.5, steps=1))
    torch.testing.assert_close(steered, plain + factor * shift, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("strength", [0.5, 1.0])
def test_a_boosted_prompt_counts_for_more_beside_the_drawing(base: Base, strength: float) -> None:
    """The words as at guidance 6 and the drawing as at guidance 3, at strength 1; half of both at a half."""
    shift = 0.125
    pipeline = MCMPipeline(base, constant(base, nu=shift))
    asked = ask(conditions=tiny.drawing(), guidance_scale=3.0, steps=1, prompt_boost=2.0)
    steered = outputs(pipeline, replace(asked, strength={"labels": strength, "sketch": strength}))
    words = outputs(MCMPipeline(base), ask(guidance_scale=3 + 3 * strength, steps=1))
    torch.testing.assert_close(steered, words + 3 * strength * shift, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("asked", [{"guidance_scale": 1.0}, {"placement": "both"}, {"prompt_boost": 1.0}])
def test_where_a_boost_has_nothing_to_act_on_pictures_are_bitwise_the_same(
    base: Base, modulator: Modulator, asked: dict[str, Any]
) -> None:
    pipeline, request = MCMPipeline(base, modulator), ask(conditions=tiny.drawing())
    boosted = replace(request, **{"prompt_boost": 3.0, **asked})
    plain = replace(request, **{**asked, "prompt_boost": 1.0})
    assert np.array_equal(pipeline(boosted).images, pipeline(plain).images)


def outputs(pipeline: MCMPipeline, request: Request) -> torch.Tensor:
    """What the scheduler of a one-step request is given."""
    given: list[torch.Tensor] = []
    original = diffusers.DDIMScheduler.step

    def step(self: Any, output: torch.Tensor, *args: Any, **options: Any) -> Any:
        given.append(output)
        return original(self, output, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffusers.DDIMScheduler, "step", step)
        pipeline(request)
    assert len(given) == 1
    return given[0]


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_the_equation_holds_for_every_prediction_type(tmp_path: Path, prediction: str) -> None:
    """The noise in what the scheduler gets is 1.5 eps + 0.25, by the x_0 that diffusers makes of it."""
    base = Base.from_pretrained(tiny.build_stable_diffusion(tmp_path, prediction))
    request = ask(conditions=tiny.drawing(), steps=1, guidance_scale=1.0)
    steered = outputs(MCMPipeline(base, constant(base, gamma=1.5, nu=0.25)), request)
    plain = outputs(MCMPipeline(base), ask(steps=1, guidance_scale=1.0))
    scheduler = base.make_scheduler()
    scheduler.set_timesteps(1)
    timestep = scheduler.timesteps[0]
    noise = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(7))
    alpha = scheduler.alphas_cumprod[timestep] ** 0.5

    def eps(output: torch.Tensor) -> torch.Tensor:
        x0 = scheduler.step(output, timestep, noise).pred_original_sample
        return (noise - alpha * x0) / (1 - alpha**2) ** 0.5

    torch.testing.assert_close(eps(steered), 1.5 * eps(plain) + 0.25, atol=1e-4, rtol=1e-4)


def test_the_window_of_steps(base: Base, modulator: Modulator) -> None:
    request = ask(conditions=tiny.drawing(), steps=4, start=0.25, end=0.75)
    result = MCMPipeline(base, modulator)(request)
    assert [bool(action.any()) for action in result.actions] == [False, True, True, False]


def test_the_training_window(base: Base) -> None:
    modulator = tiny.build_modulator(base, training_window=(500, 1000))
    steps = list(MCMPipeline(base, modulator).stream(ask(conditions=tiny.drawing(), steps=4)))
    assert [bool(step.nu_action.any()) for step in steps] == [step.timestep >= 500 for step in steps]
    assert {step.timestep >= 500 for step in steps} == {True, False}


def test_zero_terminal_snr_leaves_the_singular_step_alone(tmp_path: Path) -> None:
    base = Base.from_pretrained(tiny.build_stable_diffusion(tmp_path, "v_prediction", zero_snr=True))
    modulator = tiny.build_modulator(base)
    for scheduler in base.scheduler_names:
        request = ask(conditions=tiny.drawing(), scheduler=scheduler, steps=4)
        steps = list(MCMPipeline(base, modulator).stream(request))
        assert steps[0].timestep == 999
        assert [bool(step.nu_action.any()) for step in steps] == [False, True, True, True]


def test_a_modality_at_strength_zero_is_as_if_it_were_not_drawn(base: Base, modulator: Modulator) -> None:
    pipeline, drawn = MCMPipeline(base, modulator), tiny.drawing()
    without = pipeline(ask(conditions=Conditions({"labels": drawn.maps["labels"]})))
    at_zero = pipeline(ask(conditions=drawn, strength={"sketch": 0.0}))
    assert np.array_equal(at_zero.images, without.images)
    assert not np.array_equal(at_zero.images, pipeline(ask(conditions=drawn)).images)


def test_the_strongest_modality_sets_the_strength(base: Base) -> None:
    pipeline = MCMPipeline(base, constant(base, nu=0.5))
    request = ask(conditions=tiny.drawing(), strength={"labels": 0.5, "sketch": 0.25})
    np.testing.assert_allclose(pipeline(request).nu_actions, 0.25)


def test_unpainted_regions_are_not_absence(base: Base, modulator: Modulator) -> None:
    pipeline, labels = MCMPipeline(base, modulator), tiny.drawing().maps["labels"]
    half = labels.copy()
    half[:, :32] = 0
    images = [pipeline(ask(conditions=Conditions({"labels": drawn}))).images for drawn in (labels, half)]
    assert not np.array_equal(*images)


@pytest.mark.parametrize("folder", ["sdxl_folder", "ldm_folder", "ddpm_folder"])
def test_every_family_can_be_steered(request: pytest.FixtureRequest, folder: str) -> None:
    base = Base.from_pretrained(request.getfixturevalue(folder))
    drawn = ask(prompt="", conditions=tiny.drawing(), compare=True)
    result = MCMPipeline(base, tiny.build_modulator(base))(drawn)
    assert result.images.shape == (1, *base.default_size, 3)
    assert not np.array_equal(result.images, result.plain_images)


# -- what goes wrong ---------------------------------------------------------------------------------------


def test_a_modulator_that_gives_nan_is_an_error_and_no_black_picture(base: Base) -> None:
    pipeline = MCMPipeline(base, constant(base, nu=float("nan")))
    with pytest.raises(NotFiniteError, match="modulator"):
        pipeline(ask(conditions=tiny.drawing()))
    assert pipeline(ask()).images.any()  # the pipeline goes on


@pytest.mark.parametrize(("part", "message"), [("unet", "latents"), ("vae", "autoencoder")])
def test_a_base_that_gives_nan_is_an_error_and_no_black_picture(
    sd_folder: Path, part: str, message: str
) -> None:
    base = Base.from_pretrained(sd_folder)
    last = base.unet.conv_out if part == "unet" else base.vae.decoder.conv_out
    last.bias.data.fill_(float("nan"))
    with pytest.raises(NotFiniteError, match=message):
        MCMPipeline(base)(ask())


def test_a_bad_request_is_refused_before_anything_runs(base: Base) -> None:
    with pytest.raises(InputError, match="steps"):
        next(MCMPipeline(base).stream(ask(steps=0)))


@settings(max_examples=20)
@given(st.text(st.characters(exclude_categories=()), max_size=120))
def test_any_text_is_a_prompt(base: Base, prompt: str) -> None:
    assert MCMPipeline(base)(ask(prompt=prompt, negative_prompt=prompt, steps=1)).images.shape == (
        1,
        64,
        64,
        3,
    )


@pytest.mark.parametrize(
    "prompt", ["\0", "🏔️🌊", "\u202eתירבע\u202c", "\ud800", "<img src=x onerror=alert(1)>", "x" * 1000]
)
def test_awkward_prompts(base: Base, prompt: str) -> None:
    assert MCMPipeline(base)(ask(prompt=prompt, steps=1)).images.any()
