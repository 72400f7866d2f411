"""Who may see the pages: anyone on this machine; from elsewhere, who signs in or knows the password."""

from __future__ import annotations

import hmac
import ipaddress
import os
import time

import streamlit as st

PASSWORD = "LAB_PASSWORD"
WAIT = 1.0
"""Seconds that a wrong password costs."""


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


def _ask(word: str) -> None:
    with st.form("password", border=False, width=420):
        given = st.text_input("Password", type="password", key="_password")
        sent = st.form_submit_button("Enter", type="primary")
    if sent and hmac.compare_digest(given.encode(), word.encode()):
        st.session_state["_let_in"] = True
        st.rerun()
    if sent:
        time.sleep(WAIT)
        st.error("That is not the password.", icon=":material/lock:")
    st.stop()
