package daemon

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/internal/telemetry"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

// metrics are what the daemon tells Prometheus, and where. All methods of a
// nil one do nothing.
type metrics struct {
	*telemetry.Metrics
	listener net.Listener
	http     *http.Server
	// owners are those whose atoms are counted.
	owners atomic.Pointer[[]string]
}

// scrapeTime bounds what a scraper may take for its request and to read the
// answer.
const scrapeTime = 30 * time.Second

// observed makes the metrics, where the config asks for them, and adds what
// tells them and the tracer of the router to its options.
func (d *Daemon) observed(o router.Options) router.Options {
	var told *telemetry.Metrics
	if d.serve.Metrics.Listen != "" {
		told = telemetry.NewMetrics(d.options.Version)
		d.metrics = &metrics{Metrics: told}
	}
	if told != nil || d.options.Tracer != nil {
		o.Observer = telemetry.Observer(told, d.options.Tracer)
		o.DialOptions = append(o.DialOptions, d.options.Tracer.DialOptions()...)
	}
	return o
}

// openMetrics serves them, once there is a router to tell of.
func (d *Daemon) openMetrics(file *config.File) (err error) {
	m := d.metrics
	if m == nil {
		return nil
	}
	at := d.serve.Metrics.Listen
	if m.listener, err = net.Listen("tcp", at); err != nil {
		return fmt.Errorf("the metrics listener at %s: %w", at, rootOf(err))
	}
	m.count(file)
	m.Watch(d.engine, func() []string { return *m.owners.Load() })
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	m.http = &http.Server{
		Handler: mux, ReadTimeout: scrapeTime, WriteTimeout: scrapeTime, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: maxHeaders,
		ErrorLog: log.New(d.log.StandardWriter(&hclog.StandardLoggerOptions{ForceLevel: hclog.Warn}), "", 0),
	}
	d.log.Info("metrics", "address", "http://"+m.listener.Addr().String()+"/metrics")
	d.serving.Go(func() {
		if err := m.http.Serve(newLimitListener(m.listener, d.log)); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error("the metrics are not served any more", "error", err)
		}
	})
	return nil
}

// MetricsAddress is where the metrics listen, HOST:PORT; "" where they do not.
func (d *Daemon) MetricsAddress() string {
	if d.metrics == nil {
		return ""
	}
	return d.metrics.listener.Addr().String()
}

// count says by a config whose atoms are counted.
func (m *metrics) count(file *config.File) {
	if m == nil {
		return
	}
	owners := []string{atom.OwnerOr(file.Config.Owner)}
	for _, a := range file.Serve.Access {
		if a.Owner != "" && !slices.Contains(owners, a.Owner) {
			owners = append(owners, a.Owner)
		}
	}
	m.owners.Store(&owners)
}

func (m *metrics) close() {
	if m == nil || m.listener == nil {
		return
	}
	if m.http != nil {
		_ = m.http.Close() // its listener, too
	}
	_ = m.listener.Close()
}
