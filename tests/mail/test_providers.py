"""The coarse class of a mailbox provider, from an address's domain alone."""

import pytest

from digest.mail.providers import Provider, provider_of


@pytest.mark.parametrize(
    ("domain", "provider"),
    [
        ("gmail.com", Provider.GOOGLE),
        ("GoogleMail.com", Provider.GOOGLE),
        ("outlook.com", Provider.MICROSOFT),
        ("hotmail.co.uk", Provider.MICROSOFT),
        ("live.de", Provider.MICROSOFT),
        ("yahoo.com.br", Provider.YAHOO),
        ("aol.com", Provider.YAHOO),
        ("icloud.com", Provider.APPLE),
        ("example.org", Provider.OTHER),
        ("yahoo", Provider.OTHER),
        ("notgmail.com", Provider.OTHER),
        ("gmail.com.readers.example", Provider.OTHER),
        ("live.a.b.c.example.org", Provider.OTHER),
    ],
)
def test_a_domain_belongs_to_its_provider(domain: str, provider: Provider) -> None:
    assert provider_of(f"somebody@{domain}") is provider
