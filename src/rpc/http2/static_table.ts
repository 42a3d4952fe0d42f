/** The static table (RFC 7541, appendix A; frozen: on the wire). Index 0 is not used. */
import { fieldNamed, type HeaderField } from "./field.ts";

// deno-fmt-ignore
const ENTRIES = `
:authority
:method GET
:method POST
:path /
:path /index.html
:scheme http
:scheme https
:status 200
:status 204
:status 206
:status 304
:status 400
:status 404
:status 500
accept-charset
accept-encoding gzip, deflate
accept-language
accept-ranges
accept
access-control-allow-origin
age
allow
authorization
cache-control
content-disposition
content-encoding
content-language
content-length
content-location
content-range
content-type
cookie
date
etag
expect
expires
from
host
if-match
if-modified-since
if-none-match
if-range
if-unmodified-since
last-modified
link
location
max-forwards
proxy-authenticate
proxy-authorization
range
referer
refresh
retry-after
server
set-cookie
strict-transport-security
transfer-encoding
user-agent
vary
via
www-authenticate
`.trim().split("\n");

export const STATIC_TABLE: readonly HeaderField[] = [
  fieldNamed("", false),
  ...ENTRIES.map((entry) => {
    const space = entry.indexOf(" ");
    const name = space < 0 ? entry : entry.slice(0, space);
    // ":status" among them is flawed, as it must be in a request.
    return fieldNamed(name, true).withValue(space < 0 ? "" : entry.slice(space + 1), true);
  }),
];
