//! The 25 built-in event types. This table is their one source: the Rust structs, the validation of what
//! publishers send, the JSON Schema and the TypeScript types all follow from it (PROTOCOL §1).

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use super::Priority;
use super::fault::{Faults, Place};
use super::json::{Node, Object};
use super::kind::{
    ContentStatus, HealthStatus, Kind, ObjectOrList, Shape, TextOrNumber, TextOrObject, Timestamp,
};

/// The data of a built-in event type.
pub trait EventData: Serialize + DeserializeOwned {
    /// What the type is called, how urgent it is, which fields it has.
    const SPEC: &'static TypeSpec;
}

/// A built-in event type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeSpec {
    /// `category.name`
    pub name: &'static str,
    /// The name of the Rust struct, and of the TypeScript interface.
    pub title: &'static str,
    /// The priority of an event that does not choose its own.
    pub priority: Priority,
    /// What such an event says.
    pub doc: &'static str,
    /// The fields of its data, required ones first. Other fields are kept unseen.
    pub fields: &'static [FieldSpec],
}

/// A field of a built-in event type's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldSpec {
    /// The key in JSON.
    pub name: &'static str,
    /// What it may hold. An optional field may also be `null`.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
    /// What it says.
    pub doc: &'static str,
}

impl TypeSpec {
    /// Lists everything that keeps `data`, which stands at `place`, from being of this type.
    pub(super) fn check(&self, data: &Object<'_>, place: Place<'_>, faults: &mut Faults) {
        for field in self.fields {
            let place = Place::Key(&place, field.name);
            match data.get(field.name) {
                None if field.required => faults.push(place, "is required"),
                None => {}
                Some(Node::Null) if !field.required => {}
                Some(node) => field.kind.check(node, place, faults),
            }
        }
    }
}

macro_rules! event_types {
    ($(
        #[doc = $doc:literal]
        $title:ident = $name:literal, $priority:ident {
            required { $($required:ident $required_key:literal: $required_type:ty = $required_doc:literal;)* }
            optional { $($optional:ident $optional_key:literal: $optional_type:ty = $optional_doc:literal;)* }
        }
    )+) => {
        $(
            #[doc = $doc]
            #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
            pub struct $title {
                $(
                    #[doc = $required_doc]
                    #[serde(rename = $required_key)]
                    pub $required: $required_type,
                )*
                $(
                    #[doc = $optional_doc]
                    #[serde(rename = $optional_key, default, skip_serializing_if = "Option::is_none")]
                    pub $optional: Option<$optional_type>,
                )*
            }

            impl EventData for $title {
                const SPEC: &'static TypeSpec = &TypeSpec {
                    name: $name,
                    title: stringify!($title),
                    priority: Priority::$priority,
                    doc: $doc.trim_ascii(),
                    fields: &[
                        $(FieldSpec {
                            name: $required_key,
                            kind: <$required_type as Shape>::KIND,
                            required: true,
                            doc: $required_doc,
                        },)*
                        $(FieldSpec {
                            name: $optional_key,
                            kind: <$optional_type as Shape>::KIND,
                            required: false,
                            doc: $optional_doc,
                        },)*
                    ],
                };
            }
        )+

        /// All built-in types, in the order of PROTOCOL §1.
        pub static TYPES: &[&TypeSpec] = &[$($title::SPEC),+];

        /// Reads `data` as the struct of the type `name` and writes it again.
        #[cfg(test)]
        pub(super) fn reread(name: &str, data: &str) -> serde_json::Result<Value> {
            match name {
                $($name => serde_json::to_value(serde_json::from_str::<$title>(data)?),)+
                _ => unreachable!("{name} is not in the table"),
            }
        }
    };
}

event_types! {
    /// Something that the activity feed shows happened on the site.
    AnalyticsNewActivity = "analytics.new_activity", Low {
        required {
            activity_id "activityId": String = "Names the activity.";
            event_type "eventType": String = "What kind of activity it was, as in `page_view`.";
            message "message": String = "The line that the feed shows.";
            timestamp "timestamp": Timestamp = "When it happened.";
        }
        optional {
            details "details": Value = "Anything more about it.";
            time_ago "timeAgo": String = "How long ago it was, in words.";
            device "device": TextOrObject = "The visitor's device.";
            location "location": TextOrObject = "Where the visitor is.";
        }
    }

    /// The traffic of a period has new numbers.
    AnalyticsTrafficUpdate = "analytics.traffic_update", Low {
        required {
            period "period": String = "The period counted, as in `today`.";
            page_views "pageViews": Number = "Pages viewed in it.";
            unique_visitors "uniqueVisitors": Number = "Visitors seen in it.";
            timestamp "timestamp": Timestamp = "When it was counted.";
        }
        optional {
            bounce_rate "bounceRate": Number = "The share of visits that saw one page.";
            top_pages "topPages": Vec<Value> = "The pages viewed most.";
        }
    }

    /// A measure of the site's speed has a new value.
    AnalyticsPerformanceUpdate = "analytics.performance_update", Low {
        required {
            metric "metric": String = "What was measured, as in `lcp`.";
            value "value": Number = "The value measured.";
            timestamp "timestamp": Timestamp = "When it was measured.";
        }
        optional {
            unit "unit": String = "The unit of the value.";
            page "page": String = "The page it was measured on.";
            change "change": TextOrNumber = "The change since the value before.";
        }
    }

    /// A chart has new points.
    AnalyticsChartUpdate = "analytics.chart_update", Low {
        required {
            chart_id "chartId": String = "Names the chart.";
            data_points "dataPoints": Vec<Value> = "The points that it shows.";
            timestamp "timestamp": Timestamp = "When they were computed.";
        }
        optional {
            chart_type "chartType": String = "How they are drawn, as in `line`.";
            period "period": String = "The period that they cover.";
        }
    }

    /// A piece of content exists since this event.
    ContentCreated = "content.created", Normal {
        required {
            content_id "contentId": String = "Names the content.";
            title "title": String = "Its title.";
            content_type "type": String = "What it is, as in `blog` or `page`.";
            status "status": ContentStatus = "Where it stands.";
            author_id "authorId": String = "Who wrote it.";
            created_at "createdAt": Timestamp = "When it was created.";
        }
        optional {
            slug "slug": String = "Its name in addresses.";
            tags "tags": Vec<String> = "Its tags.";
            changes "changes": ObjectOrList = "What was set.";
        }
    }

    /// A piece of content changed.
    ContentUpdated = "content.updated", Normal {
        required {
            content_id "contentId": String = "Names the content.";
            title "title": String = "Its title.";
            content_type "type": String = "What it is, as in `blog` or `page`.";
            status "status": ContentStatus = "Where it stands.";
            author_id "authorId": String = "Who wrote it.";
            updated_at "updatedAt": Timestamp = "When it changed.";
        }
        optional {
            slug "slug": String = "Its name in addresses.";
            tags "tags": Vec<String> = "Its tags.";
            changes "changes": ObjectOrList = "What changed.";
        }
    }

    /// A piece of content became public.
    ContentPublished = "content.published", Normal {
        required {
            content_id "contentId": String = "Names the content.";
            title "title": String = "Its title.";
            content_type "type": String = "What it is, as in `blog` or `page`.";
            status "status": ContentStatus = "Where it stands.";
            author_id "authorId": String = "Who wrote it.";
            published_at "publishedAt": Timestamp = "When it became public.";
        }
        optional {
            slug "slug": String = "Its name in addresses.";
            tags "tags": Vec<String> = "Its tags.";
            changes "changes": ObjectOrList = "What changed with it.";
        }
    }

    /// A piece of content is no longer public.
    ContentUnpublished = "content.unpublished", Normal {
        required {
            content_id "contentId": String = "Names the content.";
            title "title": String = "Its title.";
            content_type "type": String = "What it is, as in `blog` or `page`.";
            status "status": ContentStatus = "Where it stands.";
            author_id "authorId": String = "Who wrote it.";
            unpublished_at "unpublishedAt": Timestamp = "When it was withdrawn.";
        }
        optional {
            slug "slug": String = "Its name in addresses.";
            tags "tags": Vec<String> = "Its tags.";
            changes "changes": ObjectOrList = "What changed with it.";
        }
    }

    /// A piece of content is gone.
    ContentDeleted = "content.deleted", Normal {
        required {
            content_id "contentId": String = "Names the content.";
            title "title": String = "Its title.";
            content_type "type": String = "What it was, as in `blog` or `page`.";
            deleted_at "deletedAt": Timestamp = "When it was deleted.";
        }
        optional {
            author_id "authorId": String = "Who wrote it.";
            deleted_by "deletedBy": String = "Who deleted it.";
        }
    }

    /// A piece of content moved from one status to another.
    ContentStatusChanged = "content.status_changed", Normal {
        required {
            content_id "contentId": String = "Names the content.";
            old_status "oldStatus": ContentStatus = "Where it stood.";
            new_status "newStatus": ContentStatus = "Where it stands.";
            changed_at "changedAt": Timestamp = "When it moved.";
        }
        optional {
            title "title": String = "Its title.";
            changed_by "changedBy": String = "Who moved it.";
        }
    }

    /// A user logged in.
    UserLogin = "user.login", Normal {
        required {
            user_id "userId": String = "Names the user.";
            timestamp "timestamp": Timestamp = "When it was.";
        }
        optional {
            email "email": String = "The user's address.";
            ip_address "ipAddress": String = "Where the request came from.";
            user_agent "userAgent": String = "The browser's name for itself.";
            location "location": TextOrObject = "Where the user is.";
        }
    }

    /// A user logged out.
    UserLogout = "user.logout", Normal {
        required {
            user_id "userId": String = "Names the user.";
            timestamp "timestamp": Timestamp = "When it was.";
        }
        optional {
            email "email": String = "The user's address.";
            ip_address "ipAddress": String = "Where the request came from.";
            user_agent "userAgent": String = "The browser's name for itself.";
            location "location": TextOrObject = "Where the user is.";
        }
    }

    /// A user has an account since this event.
    UserRegistered = "user.registered", Normal {
        required {
            user_id "userId": String = "Names the user.";
            email "email": String = "The user's address.";
            registered_at "registeredAt": Timestamp = "When it was.";
        }
        optional {
            name "name": String = "The user's name.";
            role "role": String = "The user's role.";
        }
    }

    /// A user's profile changed.
    UserProfileUpdated = "user.profile_updated", Normal {
        required {
            user_id "userId": String = "Names the user.";
            updated_fields "updatedFields": Vec<String> = "Names of the fields that changed.";
            updated_at "updatedAt": Timestamp = "When they changed.";
        }
        optional {
            updated_by "updatedBy": String = "Who changed them.";
        }
    }

    /// A user's password changed.
    UserPasswordChanged = "user.password_changed", High {
        required {
            user_id "userId": String = "Names the user.";
            changed_at "changedAt": Timestamp = "When it changed.";
        }
        optional {
            changed_by "changedBy": String = "Who changed it.";
            ip_address "ipAddress": String = "Where the request came from.";
        }
    }

    /// A setting has a new value.
    SettingsUpdated = "settings.updated", High {
        required {
            setting_key "settingKey": String = "Names the setting.";
            new_value "newValue": Value = "Its value.";
            updated_by "updatedBy": String = "Who changed it.";
            updated_at "updatedAt": Timestamp = "When it changed.";
        }
        optional {
            old_value "oldValue": Value = "The value before.";
            category "category": String = "The group that the setting belongs to.";
        }
    }

    /// A backup of the settings was made.
    SettingsBackupCreated = "settings.backup_created", High {
        required {
            backup_id "backupId": String = "Names the backup.";
            created_at "createdAt": Timestamp = "When it was made.";
        }
        optional {
            size "size": Number = "Its size in bytes.";
            created_by "createdBy": String = "Who made it.";
        }
    }

    /// The settings were restored from a backup.
    SettingsBackupRestored = "settings.backup_restored", High {
        required {
            backup_id "backupId": String = "Names the backup.";
            restored_at "restoredAt": Timestamp = "When they were restored.";
        }
        optional {
            restored_by "restoredBy": String = "Who restored them.";
        }
    }

    /// A project exists since this event.
    ProjectCreated = "project.created", Normal {
        required {
            project_id "projectId": String = "Names the project.";
            name "name": String = "Its title.";
            status "status": String = "Where it stands, in the application's words.";
            created_at "createdAt": Timestamp = "When it was created.";
        }
        optional {
            owner_id "ownerId": String = "Who owns it.";
            changes "changes": ObjectOrList = "What was set.";
        }
    }

    /// A project changed.
    ProjectUpdated = "project.updated", Normal {
        required {
            project_id "projectId": String = "Names the project.";
            name "name": String = "Its title.";
            status "status": String = "Where it stands, in the application's words.";
            updated_at "updatedAt": Timestamp = "When it changed.";
        }
        optional {
            owner_id "ownerId": String = "Who owns it.";
            changes "changes": ObjectOrList = "What changed.";
        }
    }

    /// A project is gone.
    ProjectDeleted = "project.deleted", Normal {
        required {
            project_id "projectId": String = "Names the project.";
            name "name": String = "Its title.";
            deleted_at "deletedAt": Timestamp = "When it was deleted.";
        }
        optional {
            deleted_by "deletedBy": String = "Who deleted it.";
        }
    }

    /// A project moved from one status to another.
    ProjectStatusChanged = "project.status_changed", Normal {
        required {
            project_id "projectId": String = "Names the project.";
            old_status "oldStatus": String = "Where it stood.";
            new_status "newStatus": String = "Where it stands.";
            changed_at "changedAt": Timestamp = "When it moved.";
        }
        optional {
            name "name": String = "Its title.";
            changed_by "changedBy": String = "Who moved it.";
        }
    }

    /// A service was looked at.
    SystemHealthCheck = "system.health_check", Low {
        required {
            service "service": String = "Names the service.";
            status "status": HealthStatus = "How it is.";
            timestamp "timestamp": Timestamp = "When it was looked at.";
        }
        optional {
            latency_ms "latencyMs": Number = "How long its answer took, in milliseconds.";
            details "details": Value = "Anything more about it.";
        }
    }

    /// A service failed.
    SystemError = "system.error", Critical {
        required {
            service "service": String = "Names the service.";
            message "message": String = "What went wrong.";
            timestamp "timestamp": Timestamp = "When it was.";
        }
        optional {
            code "code": TextOrNumber = "The error's code.";
            stack "stack": String = "Where in the program it was.";
            severity "severity": String = "How bad it is, in the application's words.";
        }
    }

    /// The system will not be available for a while.
    SystemMaintenance = "system.maintenance", Critical {
        required {
            message "message": String = "What users should know.";
            starts_at "startsAt": Timestamp = "When it begins.";
        }
        optional {
            ends_at "endsAt": Timestamp = "When it should end.";
            affected_services "affectedServices": Vec<String> = "Names of the services that it touches.";
        }
    }
}
