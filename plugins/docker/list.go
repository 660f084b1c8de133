package docker

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/containerd/errdefs/pkg/errhttp"
	"github.com/docker/docker/api/types"
	"github.com/docker/docker/client"

	"github.com/atom-router/atom-router/atom"
)

const (
	// listWorkers is how many containers a List inspects at a time.
	listWorkers = 8
	// firstListed is how many containers are asked for before all of them.
	firstListed = 64
)

// List returns the owner's atoms created in [Since, Before), oldest first.
func (e *Engine) List(r *atom.EngineListRequest) ([]atom.Atom, error) {
	return atom.SortedList(e, r)
}

// StreamList is List in the order in which the daemon answers. It filters times
// by itself: Docker's own since and before are not times.
func (e *Engine) StreamList(r *atom.EngineListRequest, found func(atom.Atom) error) error {
	ctx, cancel := context.WithCancel(atom.ContextOr(r.Context))
	defer cancel()
	if err := atom.ValidateOwner(r.Owner); err != nil {
		return err
	}
	var (
		inspecting sync.WaitGroup
		listed     = make(chan string, firstListed) // IDs
		mu         sync.Mutex
		end        error // the first of found or of an inspection
	)
	for range listWorkers {
		inspecting.Go(func() { // ends with listed
			for id := range listed {
				c, err := e.inspect(ctx, id)
				mu.Lock()
				switch {
				case end != nil:
				case err == nil && ours(c, r.Owner):
					end = found(e.atomOf(c))
				case err != nil && !errdefs.IsNotFound(err): // or it vanished
					end = err
				}
				if end != nil {
					cancel()
				}
				mu.Unlock()
			}
		})
	}
	err := e.eachContainer(ctx, atom.LabelOwner+"="+atom.OwnerOr(r.Owner), func(c summary) error {
		t, ok := createdLabel(c.Labels)
		if ok && (!r.Since.IsZero() && t.Before(r.Since) || !r.Before.IsZero() && !t.Before(r.Before)) {
			return nil
		}
		select {
		case listed <- c.ID:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	close(listed)
	inspecting.Wait()
	if end != nil {
		return end
	}
	return err
}

// summary is what a list is asked for of a container.
type summary struct {
	ID     string `json:"Id"`
	Labels map[string]string
}

// eachContainer tells of the containers with a label, in any state. An error of
// take ends it.
func (e *Engine) eachContainer(ctx context.Context, label string, take func(summary) error) error {
	api, err := e.daemon.connect(ctx)
	if err != nil {
		return err
	}
	query := url.Values{"all": {"true"}, "filters": {string(filterOf(label))}}
	if e.daemon.podman.Load() {
		return e.daemon.list(ctx, podmanList, query, take)
	}
	// Docker begins to answer when it has described all of them, which takes
	// long for thousands: the youngest are asked for beforehand.
	list := "/v" + api.ClientVersion() + "/containers/json"
	query.Set("limit", strconv.Itoa(firstListed))
	taken := make(map[string]bool, firstListed)
	err = e.daemon.list(ctx, list, query, func(c summary) error {
		taken[c.ID] = true
		return take(c)
	})
	if err != nil || len(taken) < firstListed {
		return err
	}
	query.Del("limit")
	return e.daemon.list(ctx, list, query, func(c summary) error {
		if taken[c.ID] {
			return nil
		}
		return take(c)
	})
}

// filterOf is a filter by a label as daemons take it.
func filterOf(label string) []byte {
	text, _ := json.Marshal(map[string][]string{"label": {label}}) // strings always encode
	return text
}

// list asks the daemon for containers and decodes them while they come, which
// the client does not. An error of take ends it.
func (d *daemon) list(ctx context.Context, at string, query url.Values, take func(summary) error) error {
	host, err := client.ParseHostURL(d.endpoint.host)
	if err != nil {
		return err
	}
	ask := &url.URL{Scheme: "http", Host: host.Host, Path: path.Join(host.Path, at), RawQuery: query.Encode()}
	if d.endpoint.tls != nil {
		ask.Scheme = "https"
	}
	if strings.HasPrefix(d.endpoint.host, "unix://") {
		ask.Host = client.DummyHost // its transport knows the way
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ask.String(), nil)
	if err != nil {
		return err
	}
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		return d.fault(ctx, err)
	}
	defer resp.Body.Close()
	body := json.NewDecoder(resp.Body)
	if resp.StatusCode != http.StatusOK {
		said := types.ErrorResponse{Message: resp.Status}
		_ = body.Decode(&said) // what is no JSON says no more than the status
		return d.fault(ctx, atom.Errorf(errhttp.ToNative(resp.StatusCode), "%s", said.Message))
	}
	if begin, err := body.Token(); err != nil || begin == nil { // [, or null for none
		return d.fault(ctx, err)
	}
	for body.More() {
		var c summary
		if err := body.Decode(&c); err != nil {
			return d.fault(ctx, err)
		}
		if err := take(c); err != nil {
			return err
		}
	}
	_, err = body.Token() // ]
	return d.fault(ctx, err)
}
