// Package telemetry makes what a router does visible: in metrics for
// Prometheus, and in the traces of package tracing. Main functions set it up;
// the router knows it as a router.Observer.
package telemetry

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/atom-router/atom-router/internal/tracing"
	"github.com/atom-router/atom-router/router"
)

// Namespace begins the names of the router's own metrics.
const Namespace = "atom_router"

// Metrics are what one process tells Prometheus. Labels have values of the
// config and of fixed sets alone, never of requests.
//
// All methods may be called from any number of goroutines.
type Metrics struct {
	registry *prometheus.Registry

	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	open      *prometheus.GaugeVec
	decisions *prometheus.CounterVec
	fallbacks *prometheus.CounterVec
	resumed   *prometheus.CounterVec
	logBytes  *prometheus.CounterVec
}

// durationBuckets are in seconds: from a Get that the process engine answers
// to a job that a Wait sat out for a day.
var durationBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86400}

// NewMetrics returns metrics that say version of this program.
func NewMetrics(version string) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: Namespace, Name: name, Help: help}, labels)
	}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: counter("requests_total",
			"Calls that have ended, by how: class is ok or the class of the error. backend is empty for what ended before one was chosen.",
			"backend", "operation", "class"),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: Namespace, Name: "request_duration_seconds", Buckets: durationBuckets,
			Help: "How long calls took. A wait, and logs that follow, take as long as the job.",
		}, []string{"backend", "operation"}),
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Namespace: Namespace, Name: "open_requests",
			Help: "Calls under way: open waits and log streams above all. backend is empty for creates and lookups, which have yet to find theirs.",
		}, []string{"backend", "operation"}),
		decisions: counter("decisions_total",
			"Creates by the rule that decided; outcome is routed or rejected.", "rule", "outcome"),
		fallbacks: counter("fallbacks_total",
			"Times that a create was passed on by this backend and taken by another; cause is unavailable or full.", "rule", "backend", "cause"),
		resumed: counter("resumed_streams_total",
			"Times that a wait or a log stream went on with the next plugin process of its backend.", "backend", "operation"),
		logBytes: counter("log_bytes_total",
			"Bytes of jobs' output that were given to callers.", "backend"),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: Namespace, Name: "build_info", Help: "1; version is the router's.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(
		m.requests, m.durations, m.open, m.decisions, m.fallbacks, m.resumed, m.logBytes, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return m
}

// Handler serves the metrics to those who scrape.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		// What can be had is told, when a part cannot.
		ErrorHandling: promhttp.ContinueOnError,
		Registry:      m.registry,
		Timeout:       scrapeTimeout,
	})
}

// scrapeTimeout is within Prometheus' own default of 10 seconds.
const scrapeTimeout = 9 * time.Second

// begin counts a call that began, and returns what counts its end.
func (m *Metrics) begin(operation, backend string) func(backend string, err error) {
	open := m.open.WithLabelValues(backend, operation)
	open.Inc()
	began := time.Now()
	return func(backend string, err error) {
		open.Dec()
		m.durations.WithLabelValues(backend, operation).Observe(time.Since(began).Seconds())
		m.requests.WithLabelValues(backend, operation, tracing.ClassOf(err)).Inc()
	}
}

func (m *Metrics) decided(rule string, rejected bool) {
	outcome := "routed"
	if rejected {
		outcome = "rejected"
	}
	m.decisions.WithLabelValues(rule, outcome).Inc()
}

func (m *Metrics) fellBack(rule, backend string, cause router.Cause) {
	m.fallbacks.WithLabelValues(rule, backend, string(cause)).Inc()
}
