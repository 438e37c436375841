"""Reads calendar files with the icalendar package of PyPI, another implementation than the portal's.

usage: python read_ics.py < file.ics   prints JSON: one object, the only event of the file
"""
import json
import sys

import icalendar

calendar = icalendar.Calendar.from_ical(sys.stdin.buffer.read())
(event,) = calendar.walk("VEVENT")
start, end = event["DTSTART"].dt, event["DTEND"].dt
print(json.dumps({
    "method": str(calendar["METHOD"]),
    "zone": str(calendar["X-WR-TIMEZONE"]),
    "uid": str(event["UID"]),
    "sequence": int(event["SEQUENCE"]),
    "status": str(event["STATUS"]),
    "offset_s": start.utcoffset().total_seconds(),
    "start": start.isoformat(),
    "minutes": (end - start).total_seconds() / 60,
    "summary": str(event["SUMMARY"]),
    "organizer": str(event["ORGANIZER"]),
    "attendee": str(event["ATTENDEE"]),
    "url": str(event["URL"]),
}))
