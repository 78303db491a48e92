"""Running the checks side by side: first every account's key, then all that an accepted key (or no key) can answer."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from redisu_pipeline.common.settings import Settings
from redisu_pipeline.doctor.asking import Expected
from redisu_pipeline.doctor.model import Check, Question
from redisu_pipeline.doctor.stripe_key import Admission, admit, distinct
from redisu_pipeline.doctor.table import configuration, questions_of, questions_of_places

THREADS: Final = 6
"""Requests at once: far below what Stripe allows a second, and yet the whole takes seconds."""


def examine(
    settings: Settings, environ: Mapping[str, str], expected: Expected, accounts: Sequence[str] = ()
) -> list[Check]:
    """Make every check, those of Stripe for ``accounts`` (none named: all); the order does not depend on luck.

    Raises ConfigurationError for an account that is not configured; everything else is in the checks.
    """
    chosen = [settings.account(name) for name in accounts] or list(settings.accounts.values())
    names = tuple(account.name for account in chosen)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="doctor") as pool:
        beside = [pool.submit(question.answer) for question in questions_of_places(settings, environ, names)]
        admitted = [pool.submit(admit, settings, account, environ, expected) for account in chosen]
        admissions: list[Admission] = [future.result() for future in admitted]
        asked = [
            [pool.submit(question.answer) for question in questions_of(account, admission, environ)]
            for account, admission in zip(chosen, admissions, strict=True)
        ]
        checks = [configuration(settings)]
        for admission, answers in zip(admissions, asked, strict=True):
            checks += [*admission.checks, *(future.result() for future in answers)]
        if len(chosen) > 1:
            checks.append(Question("stripe.accounts", lambda: distinct(admissions)).answer())
        return [*checks, *(future.result() for future in beside)]
