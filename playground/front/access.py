"""Who may see the pages: anyone on this machine; from elsewhere, who signs in or knows the password."""

from __future__ import annotations

import hmac
import ipaddress
import os
import threading
import time
from dataclasses import dataclass, field

import streamlit as st

PASSWORD = "LAB_PASSWORD"
FREE, LONGEST = 5, 300.0
"""Wrong passwords that cost nothing, and the most seconds that one more costs."""


def known() -> bool:
    """Whether the reader may go on as things are."""
    if local(str(st.get_option("server.address") or "")):
        return True
    if sign_in():
        return bool(st.user.is_logged_in)
    return bool(st.session_state.get("_let_in")) and bool(os.environ.get(PASSWORD))


def guard() -> None:
    """Draw a sign-in, and stop, unless the reader may go on. The password is asked for once a tab."""
    if known():
        return
    if sign_in():
        st.button("Sign in", type="primary", on_click=st.login)
        st.stop()
    word = os.environ.get(PASSWORD, "")
    if not word:
        st.error(
            "This playground listens to other machines, and nothing says who may see it. Set $LAB_PASSWORD, or"
            " sign-in ([auth] in .streamlit/secrets.toml), or start it on 127.0.0.1.",
            icon=":material/lock:",
        )
        st.stop()
    _ask(word)


def local(address: str) -> bool:
    """Whether a server at this address can be reached from this machine alone. No address is all of them."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def sign_in() -> bool:
    """Whether sign-in is configured."""
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


@dataclass
class Guesses:
    """Wrong passwords of the whole server, whoever gave them: after `FREE` in a row each costs twice as long as the one
    before, up to `LONGEST`, and until then none is looked at. The right one begins anew."""

    wrong: int = 0
    until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self, now: float) -> float:
        """Seconds until the next is looked at."""
        return max(0.0, self.until - now)

    def looked(self, right: bool, now: float) -> None:
        """One was looked at."""
        self.wrong = 0 if right else self.wrong + 1
        pause = min(LONGEST, 2.0 ** (self.wrong - FREE)) if self.wrong > FREE else 0.0
        self.until = now + pause


@st.cache_resource(show_spinner=False)
def guesses() -> Guesses:
    """Those of this server."""
    return Guesses()


def _ask(word: str) -> None:
    with st.form("password", border=False, width=420):
        given = st.text_input("Password", type="password", key="_password")
        sent = st.form_submit_button("Enter", type="primary")
    if sent:
        if why := refusal(guesses(), given, word, time.monotonic()):
            st.error(why, icon=":material/lock:")
        else:
            st.session_state["_let_in"] = True
            st.rerun()
    st.stop()


def refusal(counted: Guesses, given: str, word: str, now: float) -> str | None:
    """Why a password lets nobody in; None where it does."""
    with counted.lock:  # one at a time: guesses in many tabs at once are as many guesses
        if wait := counted.wait(now):
            return f"Too many wrong passwords. Try again in {wait:.0f} s."
        right = hmac.compare_digest(given.encode(), word.encode())
        counted.looked(right, now)
    return None if right else "That is not the password."
