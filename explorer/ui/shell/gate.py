"""The door: asks for the shared password where one is set, names the user a proxy signed in."""

from __future__ import annotations

import threading
import time

import streamlit as st
from markupsafe import Markup

from explorer.errors import InputError
from explorer.findings.model import AUTHOR_LENGTH, clean_line
from explorer.ui.core import access
from explorer.ui.html.elements import NOTHING, block, notice, tag

COOKIE = "explorer_visitor"
PAUSE = 0.5  # seconds a wrong password costs, one visitor after the other
_GUESSING = threading.Lock()
_KEEP = """export default function ({ data }) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${data.name}=${data.value}; Path=/; Max-Age=${data.lasts}; SameSite=Lax${secure}`;
}"""  # noqa: E501


def passed() -> Markup | None:
    """Let the visitor in (None), or return what the page ends with instead."""
    try:
        header = access.user_header()
    except InputError as error:
        return _closed("This server is misconfigured", str(error))
    if header and not user():
        reason = f"The proxy in front of this server named no user in {header}, or more than one."
        return _closed("Sign in first", reason)
    secret = access.password()
    if header or not secret or _known(secret):
        return None
    return _ask(secret)


def user() -> str:
    """Return the user that the trusted proxy names; empty without one."""
    header = access.user_header()
    name = access.named(st.context.headers.get_all(header)) if header else ""
    return clean_line(name)[:AUTHOR_LENGTH].strip()


def _closed(title: str, reason: str) -> Markup:
    return tag("div", tag("h1", title), notice(reason), css="empty")


def _known(secret: str) -> bool:
    kept = st.session_state.get("_visitor") or st.context.cookies.get(COOKIE, "")
    if not access.valid(kept, secret):
        return False
    if st.session_state.pop("_entered", False):
        keep = st.components.v2.component("lens_keep", js=_KEEP)
        with st.sidebar:
            keep(
                key="lens_keep",
                data={"name": COOKIE, "value": kept, "lasts": access.LASTS},
            )
    return True


def _ask(secret: str) -> Markup:
    """Draw the password's form; return what was wrong with the last try."""
    st.html(block(tag("h1", "This server asks for a password")))
    with st.form("_password_form"):
        given = st.text_input("Password", type="password", key="_password")
        sent = st.form_submit_button("Enter")
    if not sent:
        return NOTHING
    with _GUESSING:
        if access.same(given, secret):
            st.session_state["_visitor"] = access.token(secret)
            st.session_state["_entered"] = True
            st.rerun()
        time.sleep(PAUSE)
    return notice("That is not the password of this server.")
