"""git and ssh are told whom to dial, and nothing of the machine's own settings."""

from __future__ import annotations

from pathlib import Path

from agent.rules.git_settings import render_environment, render_settings, render_ssh
from kit.git_url import parse_git_url


def test_the_name_of_an_https_host_leads_to_the_addresses_that_were_looked_at() -> None:
    url = parse_git_url("https://git.example:8443/a")
    settings = dict(render_settings(url, addresses=("192.0.2.1", "2001:db8::1"), threads=2, authorities=Path("/ca")))
    assert settings["http.curloptResolve"] == "git.example:8443:192.0.2.1,[2001:db8::1]"
    assert (settings["http.sslCAInfo"], settings["pack.threads"]) == ("/ca", "2")
    assert (settings["core.hooksPath"], settings["http.followRedirects"]) == ("/dev/null", "false")
    assert settings["credential.helper"] == ""


def test_ssh_dials_the_address_and_wants_the_key_of_the_name() -> None:
    url = parse_git_url("ssh://git@git.example:2222/a")
    text = render_ssh(url, addresses=("192.0.2.1",), known_hosts=Path("/k h"))
    assert "  HostName 192.0.2.1\n  HostKeyAlias [git.example]:2222\n" in text
    assert '  UserKnownHostsFile "/k h"\n' in text
    assert "  StrictHostKeyChecking yes\n" in text


def test_only_https_and_ssh_are_spoken() -> None:
    found = render_environment(ssh=Path("/s c"), home=Path("/h"), allow_http=False)
    assert found["GIT_ALLOW_PROTOCOL"] == "https:ssh"
    assert found["GIT_SSH_COMMAND"] == "ssh -F '/s c'"
    assert (found["GIT_CONFIG_GLOBAL"], found["GIT_TERMINAL_PROMPT"]) == ("/dev/null", "0")
