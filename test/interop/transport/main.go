// Transport sends what a well-behaved client never does (bytes that are no protobuf, unknown methods, wrong content types,
// broken framing, oversize messages, headers that HTTP/2 or gRPC forbid) to etcd and to the server under test, and
// compares status codes, texts and HTTP/2 errors.
package main

import (
	"flag"
	"fmt"
	"os"
	"sort"
	"strings"
)

// allowed lists the cases in which the servers differ by design, and why. A case listed here that no longer differs is
// reported, so that the list cannot outlive its reasons.
var allowed = map[string]string{
	"no message and the end with the headers": "grpc-go does not answer at all before the client gives up",

	"WINDOW_UPDATE of zero on the connection": noGoAway,
	"a frame beyond the maximum size":         noGoAway,
	"a header block that is no HPACK":         noGoAway,

	"an empty path": malformedRequest,
	"no :path":      malformedRequest,
	"no :method":    malformedRequest,
	"no :scheme":    malformedRequest,

	"no content-type":                notGRPC,
	"content-type text/plain":        notGRPC,
	"content-type application/grpcx": notGRPC,
	"content-type APPLICATION/GRPC":  notGRPC,

	"trailers from the client":               "RFC 9113 section 8.1 lets a request end with trailers; grpc-go closes the connection",
	"DATA on a stream that was never opened": "RFC 9113 section 5.1 makes this a connection error; grpc-go ignores it",
}

const (
	noGoAway         = "etcd closes the connection without the GOAWAY that RFC 9113 section 5.4.1 asks for"
	malformedRequest = "RFC 9113 section 8.3.1 makes this a malformed request, a stream error; grpc-go answers it"
	notGRPC          = "HTTP/2 requests that are not gRPC are answered too, by the HTTP router: Connect, gRPC-Web, the gateway"
)

func main() {
	reference := flag.String("reference", "", "host:port of etcd")
	subject := flag.String("subject", "", "host:port of the server under test")
	verbose := flag.Bool("verbose", false, "prints every case and its answer")
	flag.Parse()
	if *reference == "" || *subject == "" {
		fmt.Fprintln(os.Stderr, "transport: --reference and --subject are required")
		os.Exit(2)
	}
	cases := append(frameCases(), garbageCases()...)
	endpoints := [2]string{*reference, *subject}
	differences, excused := 0, 0
	unimplemented := map[string]bool{}
	for _, c := range cases {
		var results [2]string
		for i, endpoint := range endpoints {
			results[i] = c.run(endpoint)
		}
		if *verbose {
			fmt.Printf("%-60s %s\n", c.name, results[0])
		}
		reason, isAllowed := allowed[c.name]
		switch {
		case results[0] == results[1]:
			if isAllowed {
				fmt.Printf("DIFFERS NO LONGER %s: take it off the list (%s)\n", c.name, reason)
				differences++
			}
		case isAllowed:
			excused++
		case c.method != "" && strings.Contains(results[1], "grpc-status 12"):
			unimplemented[c.method] = true
		default:
			differences++
			fmt.Printf("DIFFERENCE %s\n  etcd:    %s\n  subject: %s\n", c.name, results[0], results[1])
		}
	}
	if len(unimplemented) > 0 {
		names := make([]string, 0, len(unimplemented))
		for name := range unimplemented {
			names = append(names, name)
		}
		sort.Strings(names)
		fmt.Printf("not built yet, so not compared (%d): %s\n", len(names), strings.Join(names, " "))
	}
	fmt.Printf("%d cases, %d differences, %d by design\n", len(cases), differences, excused)
	if differences > 0 {
		os.Exit(1)
	}
}

// testCase describes one exchange; run returns everything about the answer that must be the same, as text.
type testCase struct {
	name   string
	method string // set where the case is about this method, which may not be built yet
	run    func(endpoint string) string
}
