// Sends e-mail when the service fails, is slow, stops cleaning up or grows dear. docs/operations.md explains each alert.
//
// A rule that asks the logs fires when its query has a row. The exporter marks every 4xx as no success, and the host
// writes rows of its own into AppRequests, so status and dicomweb.function decide; runs of timers have only the host's
// row, whose status is 0. A rule is billed by how often it asks, not by its window, which is longer: a row arrives minutes
// after its time, and that of a request is when it began.

@description('Something that is wrong when the query finds a row among those of the last windowSize.')
type LogRule = {
  name: string
  description: string
  @description('1: users see it. 2: they will, or it gets worse. 3: it costs.')
  severity: 1 | 2 | 3
  windowSize: 'PT30M' | 'PT1H'
  table: 'AppRequests' | 'AppMetrics' | 'AppTraces'
  @description('What is asked of the service\'s own rows of the table.')
  query: string
}

@description('More of something than a storage account should have. 0 GiB: no alert.')
type StorageLimit = {
  name: string
  description: string
  metric: 'UsedCapacity' | 'Egress'
  aggregation: 'Average' | 'Total'
  gibibytes: int
}

@description('In the name of each alert: environments may share a resource group.')
param environmentName string

param workspaceId string

@description('Whose telemetry counts: others may send to the workspace, too.')
param componentName string

param archiveAccountName string
param email string
param location string
param tags { *: string }

@description('Seconds that a request that moves less than 1 MiB may take.')
param latencySeconds int

@description('MAX_REQUEST_SECONDS of the service.')
param maxRequestSeconds int

@description('GiB that the archive may hold. 0: no alert.')
param capacityGiB int

@description('GiB that may be read from the archive in a day. 0: no alert.')
param egressGiB int

var logRules LogRule[] = [
  {
    name: 'dicom-failures'
    description: 'In an hour, more than 1 of 100 requests, and at least 3, were answered 5xx or cut, or at least 2 runs of timers or queue functions failed.'
    severity: 1
    windowSize: 'PT1H'
    // A process that dies reports nothing: what the host answers for it counts where that is more.
    table: 'AppRequests'
    query: '''
| extend IsOurs = isnotempty(Properties["dicomweb.function"]), Status = toint(ResultCode)
| summarize
    Requests = countif(IsOurs),
    Failed = countif(IsOurs and (Status >= 500 or tostring(Properties["dicomweb.end"]) == "cut")),
    HostRequests = countif(not(IsOurs) and Status > 0),
    HostFailed = countif(not(IsOurs) and Status >= 500),
    FailedRuns = countif(not(IsOurs) and Status == 0 and Success == false)
| extend Requests = max_of(Requests, HostRequests), Failed = max_of(Failed, HostFailed)
| where (Failed >= 3 and Failed * 100 > Requests) or FailedRuns >= 2
'''
  }
  {
    name: 'dicom-latency'
    description: 'In an hour, more than 1 of 20 requests that moved less than 1 MiB, of at least 20, took longer than ${latencySeconds} seconds.'
    severity: 2
    windowSize: 'PT1H'
    // How long a large body takes is up to the client's network, and what a client left says nothing.
    table: 'AppRequests'
    query: format(
      '''
| where isnotempty(Properties["dicomweb.function"]) and tostring(Properties["dicomweb.end"]) == "whole"
| where tolong(Properties["dicomweb.bytes_in"]) + tolong(Properties["dicomweb.bytes_out"]) < 1048576
| summarize Requests = count(), Slow = countif(DurationMs > {0} * 1000)
| where Requests >= 20 and Slow * 20 > Requests
''',
      latencySeconds
    )
  }
  {
    name: 'dicom-maintenance-silent'
    description: 'Maintenance, which runs every ten minutes, has reported no run for half an hour.'
    severity: 2
    windowSize: 'PT30M'
    table: 'AppMetrics'
    query: '''
| where Name == "dicomweb.journal.oldest_entry"
| summarize Runs = count()
| where Runs == 0
'''
  }
  {
    name: 'dicom-maintenance-failures'
    description: 'The last three runs of maintenance failed, or left studies that they could not settle.'
    severity: 2
    windowSize: 'PT1H'
    table: 'AppMetrics'
    query: '''
| where Name == "dicomweb.maintenance.failures"
| top 3 by TimeGenerated desc
| summarize FailedRuns = countif(Sum > 0)
| where FailedRuns == 3
'''
  }
  {
    name: 'dicom-journal-age'
    description: 'The last run of maintenance found a journal entry older than 2 × ${maxRequestSeconds} + 1200 seconds, which should have been settled before.'
    severity: 2
    windowSize: 'PT30M'
    table: 'AppMetrics'
    query: format(
      '''
| where Name == "dicomweb.journal.oldest_entry"
| top 1 by TimeGenerated desc
| where Max > 2 * {0} + 1200
''',
      maxRequestSeconds
    )
  }
  {
    name: 'dicom-storage-refusals'
    description: 'In half an hour, more than 1 of 100 storage operations, and at least 10, failed or were refused.'
    severity: 2
    windowSize: 'PT30M'
    table: 'AppMetrics'
    query: '''
| where Name == "dicomweb.storage.operations"
| extend Status = toint(Properties["status"])
| summarize Operations = sum(Sum), Refused = sumif(Sum, Status in (0, 401, 403, 408, 429) or Status >= 500)
| where Refused >= 10 and Refused * 100 > Operations
'''
  }
  {
    name: 'dicom-queue-failures'
    description: 'In half an hour, a unit of an operation failed for good, a subscription was parked, or a message moved to a poison queue.'
    severity: 2
    windowSize: 'PT30M'
    // The last is the host's own word for it, and stands even where the function of the poison queue does not run.
    table: 'AppTraces'
    query: '''
| where (SeverityLevel >= 3 and (Message startswith "A unit of operation" or Message startswith "A message could not be handled" or Message startswith "Subscription "))
    or (SeverityLevel >= 2 and Message startswith "Message has reached MaxDequeueCount")
'''
  }
  {
    name: 'dicom-feed-lag'
    description: 'The last two runs of maintenance found changes that had waited for the change feed for more than 30 minutes.'
    severity: 2
    windowSize: 'PT30M'
    table: 'AppMetrics'
    query: '''
| where Name == "dicomweb.feed.waiting_seconds"
| top 2 by TimeGenerated desc
| summarize LateRuns = countif(Max > 30 * 60)
| where LateRuns == 2
'''
  }
]

var storageLimits StorageLimit[] = [
  {
    name: 'dicom-capacity'
    description: 'The archive holds more than ${capacityGiB} GiB.'
    metric: 'UsedCapacity'
    aggregation: 'Average'
    gibibytes: capacityGiB
  }
  {
    name: 'dicom-egress'
    description: 'More than ${egressGiB} GiB were read from the archive within a day.'
    metric: 'Egress'
    aggregation: 'Total'
    gibibytes: egressGiB
  }
]

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  name: componentName
}

resource archiveAccount 'Microsoft.Storage/storageAccounts@2025-06-01' existing = {
  name: archiveAccountName
}

resource receivers 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'dicom-alerts-${environmentName}'
  location: 'Global'
  tags: tags
  properties: {
    groupShortName: 'dicom'
    enabled: true
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

resource logAlerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in logRules: {
    name: '${rule.name}-${environmentName}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      description: rule.description
      severity: rule.severity
      enabled: true
      scopes: [
        workspaceId
      ]
      evaluationFrequency: 'PT15M'
      windowSize: rule.windowSize
      // A new workspace has none of the tables yet.
      skipQueryValidation: true
      criteria: {
        allOf: [
          {
            query: '${rule.table}\n| where _ResourceId =~ "${component.id}"\n${rule.query}'
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          receivers.id
        ]
      }
    }
  }
]

// Azure measures capacity once a day.
resource storageAlerts 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for limit in storageLimits: if (limit.gibibytes > 0) {
    name: '${limit.name}-${environmentName}'
    location: 'global'
    tags: tags
    properties: {
      description: limit.description
      severity: 3
      enabled: true
      scopes: [
        archiveAccount.id
      ]
      evaluationFrequency: 'PT1H'
      windowSize: 'P1D'
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: limit.metric
            metricNamespace: 'Microsoft.Storage/storageAccounts'
            metricName: limit.metric
            timeAggregation: limit.aggregation
            operator: 'GreaterThan'
            threshold: limit.gibibytes * 1073741824
          }
        ]
      }
      actions: [
        {
          actionGroupId: receivers.id
        }
      ]
    }
  }
]

output receiversId string = receivers.id
