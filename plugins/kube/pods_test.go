package kube

import "testing"

func rec(uid, version string) *record {
	return &record{identity: identity{"ns", "atom-" + uid, uid}, version: version, owner: "default"}
}

func TestPods(t *testing.T) {
	p := newPods()
	p.put(rec("early", "5"))
	if r, _ := p.get("early"); r != nil {
		t.Error("what nobody watches is kept")
	}
	p.replace([]*record{rec("a", "10"), rec("b", "11")}, "20")
	p.setWell(true)
	p.put(rec("a", "9")) // an answer that comes late
	if r, current := p.get("a"); !current || r.version != "10" {
		t.Errorf("a is %+v, current %v", r, current)
	}
	p.put(rec("mine", "25")) // made after the list was taken, told before the watch
	ticket := p.join(rec("b", "11"))
	p.replace([]*record{rec("a", "12")}, "22")
	if r, _ := p.get("mine"); r == nil {
		t.Error("a list that is older than a pod removed it")
	}
	if _, gone := ticket.now(); !gone {
		t.Error("who waited for b was not told that the list lacks it")
	}
	p.remove(rec("a", "30"))
	p.put(rec("a", "29"))
	if r, _ := p.get("a"); r != nil {
		t.Error("a pod that is gone came back")
	}
	ticket.leave()
	if len(p.tickets) != 0 {
		t.Error("tickets are left")
	}
	p.setWell(false)
	if _, current := p.all(func(*record) bool { return true }); current {
		t.Error("it is current while the watch does not work")
	}
}

// What is put while the first list is under way is newer than what that shows.
func TestPodsPutDuringTheFirstList(t *testing.T) {
	p := newPods()
	p.put(rec("before", "5"))
	p.listing()
	p.put(rec("a", "30"))
	p.put(rec("a", "29")) // an answer that comes late
	p.put(rec("made", "31"))
	p.put(rec("gone", "32"))
	p.missing("gone")
	p.remove(rec("removed", "33"))
	p.replace([]*record{rec("a", "10"), rec("b", "11"), rec("removed", "12")}, "20")
	p.setWell(true)
	for uid, want := range map[string]string{"a": "30", "b": "11", "made": "31"} {
		if r, _ := p.get(uid); r == nil || r.version != want {
			t.Errorf("%s is %+v, want version %s", uid, r, want)
		}
	}
	for _, uid := range []string{"before", "gone", "removed"} {
		if r, _ := p.get(uid); r != nil {
			t.Errorf("%s is %+v", uid, r)
		}
	}
}

// Who waits without a watch, or before its first list, learns of a pod that is
// gone, too.
func TestPodsMissing(t *testing.T) {
	p := newPods()
	ticket := p.join(rec("a", "10"))
	defer ticket.leave()
	p.missing("a")
	<-ticket.look
	if r, gone := ticket.now(); !gone || r.version != "10" {
		t.Errorf("gone %v, last %+v", gone, r)
	}
	// Nor is it told less because it knows more than the watch.
	p.replace([]*record{rec("b", "11")}, "20")
	ticket = p.join(rec("b", "12"))
	defer ticket.leave()
	p.missing("b")
	if r, gone := ticket.now(); !gone || r.version != "12" {
		t.Errorf("gone %v, last %+v", gone, r)
	}
}
