package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/heapfs/heapfs/backing"
	"github.com/heapfs/heapfs/heapnodes/events"
)

// handler is the API over a source.
type handler struct{ src Source }

// ServeHTTP answers one request.
func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	// The deadline of the connection's last answer would still stand.
	_ = rc.SetWriteDeadline(time.Now().Add(answerTimeout))
	if no, ok := r.Context().Value(refusalKey{}).(*refusal); ok {
		_ = rc.SetReadDeadline(time.Now()) // nothing more is read, no body either
		w.Header().Set("Connection", "close")
		writeError(w, no.status, no.why)
		return
	}
	if r.ContentLength != 0 {
		// net/http reads the body to reuse the connection, and a body may
		// never come.
		_ = rc.SetReadDeadline(time.Now())
		w.Header().Set("Connection", "close")
		writeError(w, http.StatusBadRequest, "requests have no body")
		return
	}
	routes := map[string]http.HandlerFunc{
		"/v1/instance": h.instance,
		"/v1/heaps":    h.heaps,
		"/v1/buffers":  h.buffers,
		"/v1/events":   h.events,
	}
	serve, ok := routes[r.URL.Path]
	switch {
	case !ok:
		writeError(w, http.StatusNotFound, "no such resource: there are /v1/instance, /v1/heaps, /v1/buffers and /v1/events")
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", http.MethodGet)
		writeError(w, http.StatusMethodNotAllowed, "only GET is answered")
	default:
		serve(w, r)
	}
}

func (h handler) instance(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, h.src.Instance())
}

func (h handler) heaps(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, append([]Heap{}, h.src.Heaps()...))
}

func (h handler) buffers(w http.ResponseWriter, r *http.Request) {
	phys, err := parseBuffersQuery(r.URL.RawQuery)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	bufs := append([]Buffer{}, h.src.Buffers()...)
	for i := range bufs {
		if bufs[i].Extents == nil {
			bufs[i].Extents = []backing.Extent{} // an array in JSON, never null
		}
		if phys {
			p := h.src.Phys(bufs[i])
			bufs[i].Phys = &p
		}
	}
	writeJSON(w, http.StatusOK, bufs)
}

func (h handler) events(w http.ResponseWriter, r *http.Request) {
	q, err := parseEventsQuery(r.URL.RawQuery)
	if err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return
	}
	rc := http.NewResponseController(w)
	// A reader may pause for as long as it likes: it loses events, not the
	// connection.
	_ = rc.SetWriteDeadline(time.Time{})
	w.Header().Set("Content-Type", "application/x-ndjson")
	_ = copyEvents(r.Context(), w, rc.Flush, h.src.Events(), q)
}

// copyEvents writes events as lines. Without q.follow it ends after what had
// been emitted when it began; with it, when the stream is closed, or when ctx
// is done after what had been emitted by then.
func copyEvents(ctx context.Context, w http.ResponseWriter, flush func() error, s *events.Stream, q eventsQuery) error {
	last := s.LastSeq()
	sub := s.Subscribe(q.from)
	defer sub.Close()
	follow := q.follow
	var line []byte
	for {
		if follow && ctx.Err() != nil {
			follow, last = false, s.LastSeq()
		}
		e, ok := sub.Poll()
		if !ok && follow {
			if err := flush(); err != nil {
				return err
			}
			var err error
			e, err = sub.Next(ctx)
			ok = err == nil
		}
		if !ok || (!follow && e.Seq > last) {
			return nil
		}
		line = append(e.AppendJSON(line[:0]), '\n')
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
}

// parseBuffersQuery reads phys=0|1.
func parseBuffersQuery(raw string) (phys bool, err error) {
	vals, err := url.ParseQuery(raw)
	if err != nil {
		return false, fmt.Errorf("malformed query: %w", err)
	}
	for k, v := range vals {
		if k != "phys" {
			return false, fmt.Errorf("unknown parameter %q: phys is known", k)
		}
		if len(v) != 1 || v[0] != "0" && v[0] != "1" {
			return false, fmt.Errorf("phys=%q: 0 or 1 is expected, once", v)
		}
		phys = v[0] == "1"
	}
	return phys, nil
}

// eventsQuery is the query of /v1/events.
type eventsQuery struct {
	from   uint64 // first number wanted, 0 for all that are kept
	follow bool
}

// parseEventsQuery reads from=N and follow=0|1, each at most once. What is
// unknown is an error: a misspelt follow would end a script's watch silently.
func parseEventsQuery(raw string) (q eventsQuery, err error) {
	vals, err := url.ParseQuery(raw)
	if err != nil {
		return q, fmt.Errorf("malformed query: %w", err)
	}
	keys := make([]string, 0, len(vals))
	for k := range vals {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := vals[k]
		if len(v) != 1 {
			return q, fmt.Errorf("parameter %q is given %d times", k, len(v))
		}
		switch k {
		case "from":
			if q.from, err = strconv.ParseUint(v[0], 10, 64); err != nil {
				return q, fmt.Errorf("from=%q: a number from 0 to 2^64-1 is expected", v[0])
			}
		case "follow":
			if v[0] != "0" && v[0] != "1" {
				return q, fmt.Errorf("follow=%q: 0 or 1 is expected", v[0])
			}
			q.follow = v[0] == "1"
		default:
			return q, fmt.Errorf("unknown parameter %q: from and follow are known", k)
		}
	}
	return q, nil
}

// apiError is the body of every answer that is not 200.
type apiError struct {
	Error string `json:"error"`
}

func writeError(w http.ResponseWriter, status int, msg string) {
	writeJSON(w, status, apiError{msg})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		// A time beyond year 9999 is all that can fail.
		http.Error(w, `{"error":"the answer cannot be encoded"}`, http.StatusInternalServerError)
		return
	}
	b = append(b, '\n')
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	w.WriteHeader(status)
	_, _ = w.Write(b)
}
