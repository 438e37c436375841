"""A browser without a screen: cookies, forms as they are on the page, redirects followed. Standard library only."""

import html
import http.client
import http.cookies
import urllib.parse
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


class Form:
    def __init__(self, action, method):
        self.action, self.method = action, method
        self.fields = []   # (name, value), as a browser would send them untouched
        self.choices = {}  # name -> values that a select, radio or checkbox can have
        self.buttons = []  # (label, name, value)

    def __repr__(self):
        return f"<{self.method} {self.action} {[n for n, _ in self.fields]} {[b[0] for b in self.buttons]}>"


class Page(HTMLParser):
    """What is needed of a page: its text, its links and its forms."""

    def __init__(self, url, status, body):
        super().__init__(convert_charrefs=True)
        self.url, self.status, self.body = url, status, body
        self.forms, self.links, self.text = [], [], ""
        self._form = self._select = self._button = self._area = self._link = None
        self._by_id = {}
        self._skip = 0
        self.feed(body)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        a = dict(attributes)
        if tag == "form":
            self._form = Form(urllib.parse.urljoin(self.url, a.get("action") or self.url), a.get("method", "get").lower())
            self.forms.append(self._form)
            if "id" in a:
                self._by_id[a["id"]] = self._form
        form = self._by_id.get(a.get("form"), self._form)
        if tag in ("script", "style"):
            self._skip += 1
        elif tag == "a" and a.get("href"):
            self._link = [urllib.parse.urljoin(self.url, a["href"]), ""]
        elif tag == "input" and form is not None and a.get("name"):
            kind = a.get("type", "text").lower()
            if kind in ("submit", "image"):
                form.buttons.append((a.get("value", ""), a["name"], a.get("value", "")))
            elif kind in ("checkbox", "radio"):
                value = a.get("value", "on")
                form.choices.setdefault(a["name"], []).append(value)
                if "checked" in a:
                    form.fields.append((a["name"], value))
            elif kind != "button":
                form.fields.append((a["name"], a.get("value", "")))
        elif tag == "button" and form is not None:
            self._button = [form, "", a.get("name"), a.get("value", "")]
        elif tag == "select" and form is not None:
            self._select = [form, a.get("name"), None]
        elif tag == "option" and self._select:
            value = a.get("value", "")
            self._select[0].choices.setdefault(self._select[1], []).append(value)
            if "selected" in a or self._select[2] is None:
                self._select[2] = value
        elif tag == "textarea" and form is not None:
            self._area = [form, a.get("name"), ""]

    def handle_endtag(self, tag):
        if tag == "form":
            self._form = None
        elif tag in ("script", "style"):
            self._skip -= 1
        elif tag == "a" and self._link:
            self.links.append((self._link[0], " ".join(self._link[1].split())))
            self._link = None
        elif tag == "button" and self._button:
            form, label, name, value = self._button
            form.buttons.append((" ".join(label.split()), name, value))
            self._button = None
        elif tag == "select" and self._select:
            form, name, value = self._select
            if name and value is not None:
                form.fields.append((name, value))
            self._select = None
        elif tag == "textarea" and self._area:
            form, name, value = self._area
            if name:
                form.fields.append((name, value.lstrip("\n")))
            self._area = None

    def handle_data(self, data):
        if self._skip:
            return
        self.text += data + " "
        for holder, at in ((self._button, 1), (self._area, 2), (self._link, 1)):
            if holder:
                holder[at] += data

    def form(self, button=None, action=None):
        """The one form with that button (the label holds the words) and that in its action."""
        def fits(form):
            return (action is None or action in form.action) and (
                button is None or any(button.lower() in label.lower() for label, _, _ in form.buttons))
        found = [form for form in self.forms if fits(form)]
        assert found, f"{self.url} has no form with {button!r} {action!r}; it has {self.forms}\n{self.text[:1500]}"
        return found[0]

    def has_form(self, button=None, action=None):
        try:
            self.form(button, action)
            return True
        except AssertionError:
            return False

    def link(self, words):
        found = [url for url, label in self.links if words.lower() in label.lower()]
        assert found, f"{self.url} has no link {words!r}; it has {sorted({label for _, label in self.links})}"
        return found[0]


class Browser:
    def __init__(self, base):
        self.base = base.rstrip("/")
        self.cookies = {}
        self.page = None

    def _request(self, method, url, body=None):
        parts = urllib.parse.urlsplit(url)
        assert url.startswith(self.base), f"{url} is not on {self.base}"
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        headers = {"Accept": "text/html", "User-Agent": "xenbeta-lab"}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if method == "POST":
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Origin": self.base,
                        "Sec-Fetch-Site": "same-origin", "Referer": self.page.url if self.page else self.base + "/"}
        path = parts.path + ("?" + parts.query if parts.query else "")
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode("utf-8", "replace")
        finally:
            connection.close()
        for header in answer.headers.get_all("Set-Cookie") or []:
            for name, morsel in http.cookies.SimpleCookie(header).items():
                if morsel.value and morsel["max-age"] != "0":
                    self.cookies[name] = morsel.value
                else:
                    self.cookies.pop(name, None)
        return answer.status, answer.headers.get("Location"), text

    def _go(self, method, url, body=None):
        for _ in range(10):
            status, location, text = self._request(method, url, body)
            if status in (301, 302, 303, 307, 308) and location:
                method, body, url = "GET", None, urllib.parse.urljoin(url, location)
                continue
            self.page = Page(url, status, text)
            return self.page
        raise AssertionError(f"{url}: redirected for ever")

    def get(self, path, status=200):
        page = self._go("GET", urllib.parse.urljoin(self.base + "/", path))
        assert page.status == status, f"GET {path}: {page.status}\n{page.text[:800]}"
        return page

    def submit(self, form, values=None, button=None, status=200):
        """Sends a form of the current page as a click on that button (or on its first) would."""
        values = {k: v if isinstance(v, list) else [v] for k, v in (values or {}).items()}
        for name in values:
            known = {n for n, _ in form.fields} | set(form.choices)
            assert name in known, f"{form} has no field {name!r}, but {sorted(known)}"
        data = [(n, v) for n, v in form.fields if n not in values]
        data += [(n, v) for n, vs in values.items() for v in vs]
        pressed = [b for b in form.buttons if button is None or button.lower() in b[0].lower()]
        assert pressed, f"{form} has no button {button!r}"
        if pressed[0][1]:
            data.append((pressed[0][1], pressed[0][2]))
        body = urllib.parse.urlencode(data)
        if form.method == "get":
            return self.get(form.action.split("?")[0] + "?" + body, status)
        page = self._go("POST", form.action, body)
        assert page.status == status, f"POST {form.action}: {page.status}\n{page.text[:1200]}"
        return page

    def sign_in(self, email, password):
        self.get("/login")
        page = self.submit(self.page.form(action="/login"), {"email": email, "password": password})
        assert not page.url.endswith("/login"), f"not signed in: {page.text[:400]}"
        return page
