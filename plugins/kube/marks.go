package kube

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/atom-router/atom-router/atom"
)

// What an engine decides about a pod it writes on the pod, so that every
// router, and this one after a restart, knows it.
const (
	// labelStop is the annotation of a pod that is to stop.
	labelStop = atom.Label + ".stop"
	// labelFailed is the annotation of a pod that was given up before its
	// job started.
	labelFailed = atom.Label + ".failed"
	// finalizer keeps a deleted pod, with the true end of its containers,
	// until the atom is deleted.
	finalizer = atom.Label + "/atom"
)

// stopMark says how a Stop ends the pod.
type stopMark struct {
	At time.Time `json:"at"`
	// Delete is set where it is done by deleting a pod that our finalizer
	// keeps, with so many seconds of Grace.
	Delete bool  `json:"delete,omitempty"`
	Grace  int64 `json:"grace,omitempty"`
}

// failedMark says why a pod was given up.
type failedMark struct {
	At      time.Time   `json:"at"`
	Result  atom.Result `json:"result"`
	Message string      `json:"message"`
}

// mark reads an annotation of ours; nil where there is none.
func mark[T any](p *corev1.Pod, key string) *T {
	text, ok := p.Annotations[key]
	if !ok {
		return nil
	}
	m := new(T)
	// What does not parse was not written by us. That it is there tells
	// enough.
	_ = json.Unmarshal([]byte(text), m)
	return m
}

func markText(m any) string {
	text, _ := json.Marshal(m) // plain structs always encode
	return string(text)
}
