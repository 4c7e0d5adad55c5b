// Sends e-mail when requests fail or are slow. The logs are queried, since the host counts a 500 that the app itself
// answers as a success.

param workspaceId string
param email string
param latencySeconds int
param location string
param tags { *: string }

resource receivers 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'dicom-alerts'
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

resource failures 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'dicom-failures'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    description: 'More than five requests or timer runs of the last 15 minutes failed.'
    severity: 1
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT15M'
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: 'AppRequests | where Success == false or toint(ResultCode) >= 500'
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: 5
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

resource latency 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: 'dicom-latency'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    description: 'One in twenty requests of the last 15 minutes took longer than ${latencySeconds} seconds.'
    severity: 2
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT15M'
    windowSize: 'PT15M'
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: 'AppRequests | summarize Requests = count(), Slow = percentile(DurationMs, 95) | where Requests >= 20 and Slow > ${latencySeconds} * 1000'
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
