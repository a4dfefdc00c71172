// The same program as ../cgi-c/cgi.c, as an ordinary handler of net/http.
package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"strconv"
)

func answer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == "POST" || r.Method == "PUT":
		w.Header().Set("Content-Type", "application/octet-stream")
		io.Copy(w, r.Body)
	case r.URL.Query().Has("bytes"):
		count, _ := strconv.Atoi(r.URL.Query().Get("bytes"))
		body := make([]byte, count)
		for i := range body {
			body[i] = byte('a' + i%26)
		}
		w.Header().Set("Content-Type", "text/plain")
		w.Write(body)
	default:
		fmt.Fprintln(os.Stderr, "asked for", r.URL)
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Add("Set-Cookie", "language=go")
		w.Header().Add("Set-Cookie", "seen=1")
		fmt.Fprintf(w, "Grüße aus Go: %s %s\n", r.Method, os.Getenv("PATH_INFO"))
	}
}

func main() {
	if err := cgi.Serve(http.HandlerFunc(answer)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
