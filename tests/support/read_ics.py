"""Reads calendar files with the icalendar package of PyPI, another implementation than the portal's.

usage: python read_ics.py < file.ics   prints JSON: one object, the only event of the file

The offset is told twice: as the package knows the zone by its name, and as the rules in the file say (`ruled_offset_s`).
"""
import json
import sys

import icalendar

calendar = icalendar.Calendar.from_ical(sys.stdin.buffer.read())
(event,) = calendar.walk("VEVENT")
start, end = event["DTSTART"].dt, event["DTEND"].dt
zones = calendar.walk("VTIMEZONE")
ruled = None
if zones:
    (zone,) = zones
    try:
        tz = zone.to_tz(lookup_tzid=False)
    except TypeError:
        tz = zone.to_tz()
    naive = start.replace(tzinfo=None)
    local = tz.localize(naive, is_dst=True) if hasattr(tz, "localize") else naive.replace(tzinfo=tz)
    ruled = local.utcoffset().total_seconds()
print(json.dumps({
    "method": str(calendar["METHOD"]),
    "shown_zone": str(calendar["X-WR-TIMEZONE"]),
    "zone": event["DTSTART"].params.get("TZID"),
    "end_zone": event["DTEND"].params.get("TZID"),
    "zone_id": str(zones[0]["TZID"]) if zones else None,
    "uid": str(event["UID"]),
    "sequence": int(event["SEQUENCE"]),
    "status": str(event["STATUS"]),
    "offset_s": start.utcoffset().total_seconds(),
    "ruled_offset_s": ruled,
    "start_s": start.timestamp(),
    "minutes": (end.timestamp() - start.timestamp()) / 60,
    "summary": str(event["SUMMARY"]),
    "organizer": str(event["ORGANIZER"]),
    "attendee": str(event["ATTENDEE"]),
    "url": str(event["URL"]),
}))
