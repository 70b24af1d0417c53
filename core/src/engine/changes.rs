//! Lists, answers about single objects, and events: what they change in the view.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::Arc;

use super::machine::Life;
use super::rounds::Step;
use super::work::{MAX_OBJECTS, Object, Verdict};
use super::{CallError, Effect, Event, Failure, Listed, Reaction, Reply, ViewChange};
use crate::machine::Effects;
use crate::time::Mono;

impl Life {
    /// Finds new, changed and vanished containers. What events spoke of meanwhile may be newer than the list.
    pub(super) fn compare(&mut self, list: Vec<Listed>, full: bool, out: &mut Effects<Effect>) {
        let mut missing: BTreeSet<Arc<str>> = self.known.keys().cloned().collect();
        for Listed { id, mark, entry } in list {
            missing.remove(&id);
            let known = self.known.get(&id).copied().flatten();
            let current = known.is_some_and(|known| known.get() == mark);
            if self.touched.contains(&id) {
                self.want(Object::Container(id));
            } else if (full || !current) && !self.work.want_with(Object::Container(id), Some(entry))
            {
                self.full = true;
            }
        }
        let mut gone = Vec::new();
        for id in missing {
            let object = Object::Container(id.clone());
            if self.touched.contains(&id) || self.work.has(&object) {
                self.want(object);
            } else {
                self.known.remove(&id);
                gone.push(id);
            }
        }
        self.touched.clear();
        if !gone.is_empty() {
            out.push(Effect::View(ViewChange::DropContainers(gone)));
        }
    }

    pub(super) fn object_answered(
        &mut self,
        now: Mono,
        object: &Object,
        result: Result<Reply, CallError>,
        out: &mut Effects<Effect>,
    ) {
        let found = matches!(result, Ok(Reply::Container(Some(_))));
        let (verdict, tickets) = self.work.done(object, found);
        let use_it = verdict == Verdict::Use;
        match result {
            Ok(reply) if use_it => {
                if let Err(error) = self.apply(object, reply, out) {
                    self.object_failed(now, object, &error, out);
                }
            }
            Ok(_) => {}
            Err(error) => self.object_failed(now, object, &error, out),
        }
        self.release(tickets, out);
    }

    fn apply(
        &mut self,
        object: &Object,
        reply: Reply,
        out: &mut Effects<Effect>,
    ) -> Result<(), CallError> {
        let change = match (object, reply) {
            (Object::Container(id), Reply::Container(Some((container, mark))))
                if container.id == *id =>
            {
                if self.known.len() >= MAX_OBJECTS && !self.known.contains_key(id) {
                    return Ok(());
                }
                self.known.insert(id.clone(), NonZeroU64::new(mark));
                ViewChange::Container(container)
            }
            (Object::Container(id), Reply::Container(None)) => {
                self.known.remove(id);
                ViewChange::DropContainers(vec![id.clone()])
            }
            (Object::Images, Reply::Images(images)) => ViewChange::Images(images),
            (Object::Networks, Reply::Networks(networks)) => ViewChange::Networks(networks),
            (Object::Network(_), Reply::Network(Some(network))) => ViewChange::Network(network),
            (Object::Network(id), Reply::Network(None)) => ViewChange::DropNetwork(id.clone()),
            (Object::Volumes, Reply::Volumes(volumes)) => ViewChange::Volumes(volumes),
            (Object::Volume(_), Reply::Volume(Some(volume))) => ViewChange::Volume(volume),
            (Object::Volume(name), Reply::Volume(None)) => ViewChange::DropVolume(name.clone()),
            (_, _) => return Err(self.mismatch()),
        };
        out.push(Effect::View(change));
        Ok(())
    }

    /// One object could not be read: that alone says nothing of the engine. The old record stays until it can be.
    fn object_failed(
        &mut self,
        now: Mono,
        object: &Object,
        error: &CallError,
        out: &mut Effects<Effect>,
    ) {
        if let Object::Container(id) = object
            && let Some(mark) = self.known.get_mut(id)
        {
            *mark = None;
        }
        if self.step == Step::Settle && error.kind == Failure::Connect {
            return self.fail(now, error, out);
        }
        if self.registered() && self.health.failures() == 0 {
            self.health.note(error);
            self.show(out);
        }
        self.suspect(now, error, out);
    }

    pub(super) fn react(&mut self, now: Mono, event: Event, out: &mut Effects<Effect>) {
        let refresh = self.refresh_for(now, Reaction::to(&event), out);
        self.outbox.push(now, event, refresh, out);
    }

    /// Does what an event asks for; the object whose refresh the event has to wait for is returned.
    fn refresh_for(
        &mut self,
        now: Mono,
        reaction: Reaction,
        out: &mut Effects<Effect>,
    ) -> Option<Object> {
        let object = match reaction {
            Reaction::Nothing => return None,
            Reaction::Container(id) => {
                self.touch(&id);
                Object::Container(id)
            }
            Reaction::ContainerGone(id) => {
                self.touch(&id);
                self.known.remove(&id);
                let tickets = self.work.forget(&Object::Container(id.clone()));
                out.push(Effect::View(ViewChange::DropContainers(vec![id])));
                self.release(tickets, out);
                return None;
            }
            Reaction::Containers => {
                self.hurry(now);
                return None;
            }
            Reaction::Specs => {
                self.specs_at = now;
                self.hurry(now);
                return None;
            }
            Reaction::Images => Object::Images,
            Reaction::Networks => Object::Networks,
            Reaction::Volumes => Object::Volumes,
            Reaction::Network(id, container) => {
                if let Some(container) = container {
                    self.touch(&container);
                    self.want(Object::Container(container));
                }
                self.relist(Object::Networks);
                Object::Network(id)
            }
            Reaction::NetworkGone(id) => {
                self.relist(Object::Networks);
                let tickets = self.work.forget(&Object::Network(id.clone()));
                out.push(Effect::View(ViewChange::DropNetwork(id)));
                self.release(tickets, out);
                return None;
            }
            Reaction::Volume(name) => {
                self.relist(Object::Volumes);
                Object::Volume(name)
            }
            Reaction::VolumeGone(name) => {
                self.relist(Object::Volumes);
                let tickets = self.work.forget(&Object::Volume(name.clone()));
                out.push(Effect::View(ViewChange::DropVolume(name)));
                self.release(tickets, out);
                return None;
            }
        };
        self.want(object.clone());
        Some(object)
    }

    /// A list of containers under way may be older than the event.
    fn touch(&mut self, id: &Arc<str>) {
        match self.step {
            Step::List { .. } if self.touched.len() < MAX_OBJECTS => {
                self.touched.insert(id.clone());
            }
            Step::List { .. } => self.full = true,
            Step::Idle
            | Step::Ping(_)
            | Step::Specs(_)
            | Step::Admit { .. }
            | Step::Stream
            | Step::Settle
            | Step::Gone => {}
        }
    }

    /// A list of networks or volumes under way may be older than the event: it is read once more.
    fn relist(&mut self, list: Object) {
        if self.work.has(&list) {
            self.want(list);
        }
    }
}
