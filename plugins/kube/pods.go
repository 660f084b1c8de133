package kube

import (
	"cmp"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/util/resourceversion"
)

// tombstone is how long a pod that is gone stays known as such, so that a
// late answer about it does not bring it back.
const tombstone = 5 * time.Minute

// pods is what is known of all atoms' pods of a namespace: what the watch
// tells, and what the answers to the engine's own writes tell before it. Of
// two states of a pod the one with the higher resourceVersion holds
// (comparable since https://kep.k8s.io/5504).
type pods struct {
	mu      sync.Mutex
	byUID   map[string]*record
	gone    tombstones
	tickets map[string]map[*ticket]struct{}
	synced  bool               // byUID is complete
	well    bool               // and kept so
	early   map[string]*record // put since the first list began
	refusal error
}

// tombstones are the uids of pods that are gone, each for as long as tombstone
// says, and at most twice as long.
type tombstones struct {
	young, old map[string]struct{}
	turned     time.Time
}

func newTombstones() tombstones {
	return tombstones{young: make(map[string]struct{}), turned: time.Now()}
}

func (t *tombstones) add(uid string) {
	if time.Since(t.turned) > tombstone {
		t.old, t.young, t.turned = t.young, make(map[string]struct{}), time.Now()
	}
	t.young[uid] = struct{}{}
}

func (t *tombstones) has(uid string) bool {
	_, young := t.young[uid]
	_, old := t.old[uid]
	return young || old
}

// ticket is one who waits for changes of one pod.
type ticket struct {
	pods *pods
	uid  string
	look chan struct{} // a change came; capacity 1

	// Guarded by pods.mu.
	last *record // as last seen
	gone bool
}

func newPods() *pods {
	return &pods{byUID: make(map[string]*record), gone: newTombstones(), tickets: make(map[string]map[*ticket]struct{})}
}

// join returns a ticket for the pod that last is a state of.
func (p *pods) join(last *record) *ticket {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := &ticket{pods: p, uid: last.uid, look: make(chan struct{}, 1), last: last}
	if now, ok := p.byUID[last.uid]; ok && !older(now, last) {
		t.last = now
	}
	t.gone = p.gone.has(last.uid)
	if p.tickets[t.uid] == nil {
		p.tickets[t.uid] = make(map[*ticket]struct{})
	}
	p.tickets[t.uid][t] = struct{}{}
	return t
}

// leave gives the ticket back.
func (t *ticket) leave() {
	t.pods.mu.Lock()
	defer t.pods.mu.Unlock()
	delete(t.pods.tickets[t.uid], t)
	if len(t.pods.tickets[t.uid]) == 0 {
		delete(t.pods.tickets, t.uid)
	}
}

// now is the pod as last seen, and whether it is gone since.
func (t *ticket) now() (r *record, gone bool) {
	t.pods.mu.Lock()
	defer t.pods.mu.Unlock()
	return t.last, t.gone
}

// refusal is why the API server tells us nothing any more; nil while it does,
// or may again.
func (t *ticket) refusal() error {
	t.pods.mu.Lock()
	defer t.pods.mu.Unlock()
	return t.pods.refusal
}

// older reports whether a is an older state of a pod than b.
func older(a, b *record) bool {
	c, err := resourceversion.CompareResourceVersion(a.version, b.version)
	return err == nil && c < 0
}

// put takes a state of a pod, unless a newer one is known.
func (p *pods) put(r *record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.putLocked(r)
}

func (p *pods) putLocked(r *record) {
	if p.gone.has(r.uid) {
		return
	}
	known := p.byUID
	if !p.synced {
		// Without a watch there is nobody to take it out again; but a list
		// under way may be older than it.
		known = p.early
	}
	if now, ok := known[r.uid]; ok && older(r, now) {
		return
	}
	if known != nil {
		known[r.uid] = r
	}
	p.tell(r, false)
}

// tell passes a state on to those who wait for it.
func (p *pods) tell(r *record, gone bool) {
	for t := range p.tickets[r.uid] {
		switch {
		case !older(r, t.last):
			t.last = r
		case !gone:
			continue
		}
		t.gone = gone
		t.wake()
	}
}

func (t *ticket) wake() {
	select {
	case t.look <- struct{}{}:
	default:
	}
}

// remove takes the last state of a pod that is gone.
func (p *pods) remove(r *record) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.removeLocked(r)
}

func (p *pods) removeLocked(r *record) {
	p.gone.add(r.uid)
	delete(p.byUID, r.uid)
	delete(p.early, r.uid)
	p.tell(r, true)
}

// listing notes that a list begins, which shows all that was put before.
func (p *pods) listing() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.synced {
		p.early = make(map[string]*record)
	}
}

// replace takes a complete list as of a resourceVersion. What it lacks is
// gone, unless it is younger than the list.
func (p *pods) replace(all []*record, version string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	listed := make(map[string]bool, len(all))
	if !p.synced {
		p.synced = true
		maps.Copy(p.byUID, p.early)
		p.early = nil
	}
	for _, r := range all {
		listed[r.uid] = true
		p.putLocked(r)
	}
	as := &record{version: version}
	for uid, r := range p.byUID {
		if !listed[uid] && !older(as, r) {
			p.removeLocked(r)
		}
	}
	for uid, tickets := range p.tickets {
		for t := range tickets {
			if !listed[uid] && !t.gone && !older(as, t.last) {
				p.removeLocked(t.last)
				break
			}
		}
	}
}

// setWell notes whether the watch works.
func (p *pods) setWell(well bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.well = well; well {
		p.refusal = nil
	}
}

// refuse ends the patience of all who wait: it is no use, as err says.
func (p *pods) refuse(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusal = err
	for _, tickets := range p.tickets {
		for t := range tickets {
			t.wake()
		}
	}
}

// get is a pod as the watch has it; current is false where it cannot be
// relied upon.
func (p *pods) get(uid string) (r *record, current bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byUID[uid], p.synced && p.well
}

// isGone reports whether it is known that a pod was there and is gone.
func (p *pods) isGone(uid string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gone.has(uid)
}

// all are the pods that pass, in no order; current is false where they cannot
// be relied upon.
func (p *pods) all(pass func(*record) bool) (found []*record, current bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.byUID {
		if pass(r) {
			found = append(found, r)
		}
	}
	return found, p.synced && p.well
}

// missing notes that a pod is gone by what the API server answered.
func (p *pods) missing(uid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := cmp.Or(p.byUID[uid], p.early[uid])
	for t := range p.tickets[uid] {
		last = cmp.Or(last, t.last)
	}
	if last != nil {
		p.removeLocked(last)
	}
}
